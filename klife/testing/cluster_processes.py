"""`ProcessKeeper`: child processes and a folder that never outlive this process, however it ends.

The work is done by `klife.testing.cluster_keeper`, a process of its own; this is the handle to it. Two things
shaped it:

- **No monkey patch, no hub of one's own.** It must work with gevent patching and without, in any thread,
  beside any hub. `os.posix_spawn` and plain reads of a file descriptor are the same in all of these;
  `subprocess` is not (patched, it needs child watchers, which only the main thread's hub has). A request to
  the keeper blocks for well under a millisecond, a start of a process for a few; every longer wait is a poll
  with `gevent.sleep`.
- **Forks.** A forked child inherits the handle. It may look, but it does not own: closing in the child does
  nothing, and steering raises.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import struct
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent.monkey import get_original

from klife.testing import cluster_keeper
from klife.testing.cluster_errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REPLY_TIMEOUT_SECONDS = 20
POLL_SECONDS = 0.05


def wait_until(condition: Callable[[], bool], timeout: float) -> bool:
    """Poll `condition` for at most `timeout` seconds, letting other greenlets run; the last answer."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        gevent.sleep(POLL_SECONDS)
    return True


class ProcessKeeper:
    """Runs named processes and owns `folder`.

    The folder and the processes are gone after `close`, or soon after this process ends.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._control: int | None = None
        self._owner = os.getpid()
        self._last_request = 0
        self._unread = b""
        # A native lock: callers may be greenlets of different threads. No greenlet switches while it is held.
        self._lock: Any = get_original("_thread", "allocate_lock")()
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", REPLY_TIMEOUT_SECONDS, 0))
        self._control = ours.detach()
        os.set_blocking(self._control, True)
        with theirs:
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", cluster_keeper.__file__, str(folder), str(self._owner)],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 2, str(folder / "keeper.log"), os.O_WRONLY | os.O_CREAT, 0o600),
                ],
                setpgroup=0,  # a Ctrl-C in the terminal goes to our group, not to the brokers
            )

    def __del__(self) -> None:
        if self._control is not None:
            os.close(self._control)  # the keeper sees end-of-file, and cleans up

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._control is None

    def reserve_ports(self, ports: Sequence[int]) -> list[int]:
        """Reserve ports of 127.0.0.1, 0 meaning any, until `close` (on Linux).

        Raises ClusterError when one is taken.
        """
        reserved: list[int] = self._request(do="reserve", ports=list(ports))
        return reserved

    def spawn(self, name: str, argv: Sequence[str], log: Path) -> int:
        """Start a process under `name`, its output appended to `log`; the pid."""
        pid: int = self._request(do="spawn", name=name, argv=list(argv), log=str(log))
        return pid

    def signal(self, name: str, signal_number: int) -> None:
        """Send a signal to the process, unless it has ended."""
        self._request(do="signal", name=name, signal=int(signal_number))

    def exit_status(self, name: str) -> int | None:
        """The exit status (negative: the signal that killed it), or None while it runs."""
        status: int | None = self._request(do="status", name=name)
        return status

    def wait(self, name: str, timeout: float) -> int | None:
        """Wait at most `timeout` seconds for the process to end; its exit status, or None when it still runs."""
        wait_until(lambda: self.exit_status(name) is not None, timeout)
        return self.exit_status(name)

    def close(self) -> None:
        """Kill every process and remove the folder. Does nothing in a forked child, and nothing the second
        time.
        """
        if self._control is None or os.getpid() != self._owner:
            return
        os.close(self._control)
        self._control = None
        wait_until(self._keeper_has_ended, timeout=30)
        # Normally the keeper removed it; this is for a keeper that was itself killed.
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keeper_has_ended(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] == self._pid
        except ChildProcessError:
            # Reaped by someone else: libev, under gevent, reaps every child once anything in the process
            # watches one.
            return not self.folder.exists() or not _is_a_process(self._pid)

    def _request(self, **request: object) -> Any:
        if self._control is None:
            raise ClusterError("the cluster is down: start it with up(), or use it inside its `with` block")
        if os.getpid() != self._owner:
            raise ClusterError(f"the cluster belongs to process {self._owner}, and this is a forked child: steer it from the parent")
        with self._lock:
            self._last_request += 1
            request["id"] = self._last_request
            try:
                os.write(self._control, json.dumps(request).encode() + b"\n")
                reply = self._read_reply()
            except (BlockingIOError, ConnectionError) as error:
                raise ClusterError(f"the cluster's keeper process {self._pid} is gone or does not answer: {error}") from error
        if "error" in reply:
            raise ClusterError(reply["error"])
        return reply["result"]

    def _read_reply(self) -> dict[str, Any]:
        # A KeyboardInterrupt may have left the reply to an earlier request unread: those are skipped by their
        # id.
        while True:
            while b"\n" not in self._unread:
                received = os.read(self._control or 0, 65536)
                if not received:
                    raise ConnectionError("end of file")
                self._unread += received
            line, self._unread = self._unread.split(b"\n", 1)
            reply: dict[str, Any] = json.loads(line)
            if reply["id"] == self._last_request:
                return reply


def _is_a_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's, by now
    return True


@contextlib.contextmanager
def kept(folder: Path) -> Any:
    """A ProcessKeeper for the length of a `with` block."""
    keeper = ProcessKeeper(folder)
    try:
        yield keeper
    finally:
        keeper.close()
