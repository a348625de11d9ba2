"""The `klife` command. Its packages are an extra, `pip install "klife[cli]"`, and nothing is imported before `main` runs."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; the entry point of `klife`, of `python -m klife` and of `python -m klife.cli`."""
    _open_what_is_closed()
    try:
        _run()
    except KeyboardInterrupt:  # before the command itself, which says what it leaves, could take it
        raise SystemExit(130) from None
    except OSError as error:  # of standard output, as on a disk that is full: commands tell of all others
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what the interpreter still flushes
        raise SystemExit(f"klife: {error}") from None


def _open_what_is_closed() -> None:
    """Have all three standard streams: else a connection to a broker takes the number of the one that is missing, and gets
    what is printed.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - it is open until the process ends


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
