"""The command's commands, and what is the same for all of them."""

from __future__ import annotations

from typing import Annotated

import typer

from klife.cli import cluster, demo, doctor, logs, produce, read, topics, tree, txn
from klife.cli.version import version_line

# Without rich's markup an error is a line one can read, cut and search for, not a box; and a bug a plain traceback.
app: typer.Typer = typer.Typer(
    name="klife",
    help="Tools around klife, the Kafka client.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(cluster.app, name="cluster")
app.add_typer(topics.app, name="topics")
app.add_typer(txn.app, name="txn")
app.command()(demo.demo)
app.command()(doctor.doctor)
app.command()(produce.produce)
app.command()(read.read)
app.command()(tree.tree)


def run() -> None:
    """Run what the command line says, and end the process."""
    logs.quiet_logs()
    app(prog_name="klife")


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_line())
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version.")] = False,
) -> None:
    pass
