"""The `klife` command. Its packages are an extra, `pip install "klife[cli]"`, and nothing is imported before `main` runs."""

from __future__ import annotations


def main() -> None:
    """Run the command line; the entry point of `klife`, of `python -m klife` and of `python -m klife.cli`."""
    try:
        _run()
    except KeyboardInterrupt:  # before the command itself, which says what it leaves, could take it
        raise SystemExit(130) from None


def _run() -> None:
    try:
        import rich  # noqa: F401  the commands need all three
        import structlog  # noqa: F401
        import typer  # noqa: F401
    except ImportError as error:
        raise SystemExit(
            f'the klife command needs typer, rich and structlog, and {error.name} is not installed: pip install "klife[cli]"'
        ) from None

    from klife.cli.app import run

    run()
