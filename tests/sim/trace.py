"""What a run did: a hash of every step, and, when asked for, lines that a person can read."""

from collections.abc import Callable

import xxhash


class Trace:
    """`hash` covers every event, its time, its node and all bytes sent. `lines` are kept only if `verbose`."""

    def __init__(self, verbose: bool, echo: Callable[[str], None] | None = None) -> None:
        self.verbose = verbose
        self.echo = echo
        self.recent: list[str] = []
        self._hash = xxhash.xxh3_64()
        self.update = self._hash.update

    @property
    def hash(self) -> str:
        return self._hash.hexdigest()

    def line(self, time: int, number: int, cause: int, where: str, text: str) -> None:
        shown = f"{time / 1e6:11.6f} #{number:<6} <-#{cause:<6} {where:>8}  {text}"
        if self.echo:
            self.echo(shown)
        else:
            self.recent.append(shown)
            if len(self.recent) > 4000:
                del self.recent[:2000]


def brief(thing: object, limit: int = 220) -> str:
    """A struct in one line, with long byte strings cut."""
    text = repr(thing)
    return text if len(text) <= limit else text[: limit - 3] + "..."
