"""`keystead`: the command line. Each command is a function of the module that it is named after."""

import typer

from keystead_cli.apply import apply
from keystead_cli.change import delete_app, node_app, recover, split
from keystead_cli.get import get
from keystead_cli.log import log_app
from keystead_cli.look import status, version, why
from keystead_cli.up import down, up

app = typer.Typer(
    help="A table store with a DynamoDB API: run one here, declare tables, see what they do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(up)
app.command()(down)
app.command()(apply)
app.command()(get)
app.add_typer(delete_app, name="delete")
app.command()(status)
app.command()(why)
app.command()(split)
app.command()(recover)
app.add_typer(node_app, name="node")
app.add_typer(log_app, name="log")
app.command()(version)


def main() -> None:
    """The entry point of the program."""
    app(prog_name="keystead")


if __name__ == "__main__":
    main()
