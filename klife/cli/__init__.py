"""The `klife` command. Its packages are an extra, `pip install "klife[cli]"`, and nothing is imported before `main` runs."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the entry point of `klife` and of `python -m klife.cli`."""
    try:
        import rich  # noqa: F401  the commands need both
        import typer
    except ImportError as error:
        raise SystemExit(
            f'the klife command needs typer and rich, and {error.name} is not installed: pip install "klife[cli]"'
        ) from None

    from klife.cli import cluster, demo, doctor, logs, produce, topics, tree, txn

    # Without rich's markup an error is a line one can read, cut and search for, not a box; and a bug a plain traceback.
    app = typer.Typer(
        name="klife",
        help="Tools around klife, the Kafka client.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.add_typer(cluster.app, name="cluster")
    app.add_typer(txn.app, name="txn")
    app.command()(demo.demo)
    app.command()(doctor.doctor)
    app.command()(produce.produce)
    app.command()(topics.topics)
    app.command()(tree.tree)
    logs.quiet_logs()
    app()
