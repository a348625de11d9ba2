"""Web services as their users run them: gunicorn or uWSGI in processes of its own, and HTTP clients that load
it.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TypeVar

import gevent
import gevent.socket

from klife import StopReport
from tests.support import ROOT
from tests.support.logged_process import logged_process

EXAMPLE = ROOT / "examples" / "gunicorn_gevent"
PAGE = ROOT / "docs" / "web-workers.md"
WORKERS = 2
PATIENCE = 100.0

_REPORT = re.compile(r"klife: StopReport\(delivered=(\d+), failed=(\d+), undelivered=(\d+)\)")

T = TypeVar("T")


class Visitor:
    """An HTTP client with one connection, made anew when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._connection = _Connection("127.0.0.1", port)

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; OSError or HTTPException where there is none."""
        return self._ask("POST", path, body)

    def get(self, path: str) -> tuple[int, bytes]:
        """The same."""
        return self._ask("GET", path, None)

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            self._connection.request(method, path, body)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException):
            self.leave()
            raise

    def leave(self) -> None:
        """Close the connection, for which a worker would wait at its end."""
        self._connection.close()


class _Connection(HTTPConnection):
    """One whose waits let other greenlets run, in an unpatched process."""

    def connect(self) -> None:
        self.sock = gevent.socket.create_connection((self.host, self.port), PATIENCE)


class WebService:
    """A running gunicorn, or uWSGI."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self.port = int(self.wait_for_lines(r"(?:Listening at: http://|bound to TCP address )127\.0\.0\.1:(\d+)")[0])

    @property
    def log(self) -> str:
        """What the server, its workers and the clients in them have said on standard error."""
        return self._log.read_text()

    @property
    def reports(self) -> list[StopReport]:
        """What the clients' `stop` has returned, as the workers logged it."""
        return [StopReport(*map(int, counts)) for counts in _REPORT.findall(self.log)]

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers that run now."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return [int(child) for child in children.split()]

    def wait_for_lines(self, pattern: str, count: int = 1) -> list[str]:
        """What the pattern finds in the log, when it has found so many."""

        def found() -> list[str]:
            ended = self._process.poll() is not None
            lines = re.findall(pattern, self.log)
            assert len(lines) >= count or not ended, f"the server has ended without {pattern!r}:\n{self.log}"
            return lines if len(lines) >= count else []

        return self.wait_until(found)

    def wait_until(self, condition: Callable[[], T]) -> T:
        """What `condition` returns, when that is true."""
        deadline = time.monotonic() + PATIENCE
        while not (result := condition()):
            assert time.monotonic() < deadline, self.log
            gevent.sleep(0.02)
        return result

    def wait_until_whole(self) -> None:
        """All workers run, none is about to be replaced, and each would hear a signal: one forked just before
        it does not.
        """
        self.wait_until(
            lambda: (
                self.log.count("Autorestarting worker") <= self.log.count("Worker exiting")
                and len(self.workers) == WORKERS
                and all(_has_its_own_handlers(pid) for pid in self.workers)
            )
        )

    def terminate(self) -> None:
        """SIGTERM to the master."""
        self.wait_until_whole()
        self._process.terminate()

    def terminate_now(self) -> None:
        """The same, whatever the workers are about."""
        self._process.terminate()

    def interrupt(self) -> None:
        """SIGINT to the master."""
        self.wait_until_whole()
        self._process.send_signal(signal.SIGINT)

    def ctrl_c(self) -> None:
        """What a terminal does: SIGINT to the master and to its workers."""
        self.wait_until_whole()
        os.killpg(self._process.pid, signal.SIGINT)

    def wait(self) -> int:
        """The exit status, when the master, which waits for its workers, has ended."""
        self.wait_until(lambda: self._process.poll() is not None)
        return self._process.returncode


def _has_its_own_handlers(pid: int) -> bool:
    """Whether a worker, which starts with the master's, has set its own: SIGABRT is the last it sets, and
    none of the master's.
    """
    with suppress(FileNotFoundError):
        (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return bool(int(caught, 16) & 1 << signal.SIGABRT - 1)
    return False


@contextmanager
def paused(pid: int) -> Iterator[None]:
    """The process does nothing in this block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def gunicorn(
    servers: str, folder: Path, *options: str, environ: Mapping[str, str], application: Path = EXAMPLE
) -> Iterator[WebService]:
    """The application by the README's command, with these options beside; what of it runs at the end of the
    block is killed.
    """
    (line,) = re.findall(r"^gunicorn .*$", (EXAMPLE / "README.md").read_text(), re.MULTILINE)
    command = [sys.executable, "-m", *shlex.split(line), "--bind", "127.0.0.1:0", "--workers", str(WORKERS), *options]
    with _running(command, servers, folder, environ, application) as service:
        yield service


@contextmanager
def uwsgi(servers: str, folder: Path, *options: str, environ: Mapping[str, str]) -> Iterator[WebService]:
    """The application `shop.py` in `folder` by the page's configuration, with these options beside."""
    (settings,) = re.findall(r"^```ini\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    without_address = re.sub(r"^http-socket.*\n", "", settings, flags=re.MULTILINE)
    assert without_address != settings
    (folder / "uwsgi.ini").write_text(without_address)
    command = [str(Path(sys.executable).with_name("pyuwsgi")), "--ini", "uwsgi.ini", "--http-socket", "127.0.0.1:0", *options]
    with _running(command, servers, folder, {"VIRTUAL_ENV": sys.prefix, **environ}, folder) as service:
        yield service


@contextmanager
def _running(command: list[str], servers: str, folder: Path, environ: Mapping[str, str], application: Path) -> Iterator[WebService]:
    build = {name: value for name, value in os.environ.items() if name == "KLIFE_PURE"}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KLIFE_", "GUNICORN_"))} | build
    environment = inherited | {"KLIFE_BOOTSTRAP_SERVERS": servers, "XDG_RUNTIME_DIR": str(folder), **environ}
    log = folder / "server.log"
    with logged_process(command, log, folder=application, environ=environment) as process:
        yield WebService(process, log)
