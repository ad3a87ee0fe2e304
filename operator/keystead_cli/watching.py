"""`status --watch`: the same picture again every second, in its place."""

import time
from collections.abc import Callable
from typing import Annotated, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from keystead_cli.render import cluster_picture, console
from keystead_cli.terminal import EXIT_INVALID, Output, fail
from keystead_operator.cluster_view import ClusterView

WATCH_SECONDS: Final = 1.0
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Show it again every second, until Ctrl-C.")]


def watch_status(look: Callable[[], ClusterView], output: Output, above: Callable[[], list[Text]] = list) -> None:
    """Until Ctrl-C. Where nobody draws on a terminal, one picture below the other. `above`: lines over the picture."""
    if output is not Output.text:
        fail("--watch shows text: leave -o json out, or ask again and again without --watch", EXIT_INVALID)
    watch(lambda screen: Group(*above(), fitting(look(), screen)))


def watch(picture: Callable[[Console], RenderableType]) -> None:
    """Draws what `picture` makes for the console, again and again."""
    screen = console()
    try:
        if not screen.is_terminal:
            while True:
                screen.print(picture(screen))
                time.sleep(WATCH_SECONDS)
        with Live(console=screen, auto_refresh=False, screen=True) as live:
            while True:
                live.update(picture(screen), refresh=True)
                time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        return


def fitting(view: ClusterView, screen: Console) -> RenderableType:
    """With as many partitions as there are lines for; the busiest are not sought out: nothing jumps."""
    splits = sum(one.split is not None for table in view.tables for one in table.partitions)
    lines = screen.height - len(view.nodes) - splits - 6
    return cluster_picture(view, partitions_max=max(5, lines) if screen.is_terminal else 1_000_000)
