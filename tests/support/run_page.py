"""Run the programs of one page of the documentation: `python -m tests.support.run_page PAGE BOOTSTRAP_SERVERS
[--patched]`.

A process of its own, as a reader's would be: with or without gevent's monkey patching, and with an
interpreter exit that tells of records nobody waited for. It ends with a traceback whose line numbers are the
page's.
"""

from __future__ import annotations

import argparse
import contextlib
import doctest
import io
import logging
import os
import sys
from pathlib import Path

# Before anything of klife or gevent is imported, as gevent wants it.
if "--patched" in sys.argv:
    from gevent import monkey

    monkey.patch_all()

from gevent import subprocess

from tests.support.doc_pages import PLACEHOLDER, Program, programs

_DOCTEST = doctest.OutputChecker()


class _OnThePage(logging.Handler):
    """What logging prints without any handler stands on the page among what its program prints."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record))


class WrongOutput(AssertionError):
    """A program printed something else than its page says."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("page", type=Path)
    parser.add_argument("servers")
    parser.add_argument("--patched", action="store_true")
    arguments = parser.parse_args()
    sys.path.insert(0, os.getcwd())  # where the page's files are written
    names: dict[str, object] = {"__name__": "__main__"}
    logging.lastResort = _OnThePage(logging.WARNING)  # type: ignore[assignment]
    for program in programs(arguments.page):
        run(program, arguments.page, arguments.servers, names)


def run(program: Program, page: Path, servers: str, names: dict[str, object]) -> None:
    text = program.text.replace(PLACEHOLDER, servers.partition(",")[0])
    if program.file is not None:
        Path(program.file).write_text(text)
        if program.file.startswith("test_"):
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", program.file]
            subprocess.run(command, env={**os.environ, "KLIFE_TEST_BOOTSTRAP": servers}, check=True)
        return
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * (program.line - 1) + text, page.name, "exec"), names)
    if program.output is None:
        return
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if not _DOCTEST.check_output(program.output, printed.getvalue(), flags):
        raise WrongOutput(f"{page.name}, line {program.line}: the page says\n{program.output}\nand it prints\n{printed.getvalue()}")


if __name__ == "__main__":
    main()
