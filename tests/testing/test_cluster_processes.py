"""The keeper: whatever happens to the process that started them, children and folder go. No Kafka here; the
children are `sleep`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from klife.testing.cluster_errors import ClusterError
from klife.testing.cluster_processes import ProcessKeeper, kept, wait_until

OWNER = """
import os, sys, time
from pathlib import Path
from klife.testing.cluster_processes import ProcessKeeper
if "patched" in sys.argv:
    from gevent import monkey
    monkey.patch_all()
folder = Path(sys.argv[1])
keeper = ProcessKeeper(folder)
child = keeper.spawn("sleeper", ["sleep", "1000"], folder / "sleeper.log")
if "forking" in sys.argv and os.fork() == 0:
    time.sleep(1000)   # holds a copy of the control socket
if "leaving" in sys.argv and os.fork() == 0:
    keeper.close()     # not the child's to close
    sys.exit()
if "leaving" in sys.argv:
    os.wait()
print(child, keeper.exit_status("sleeper"), flush=True)
time.sleep(1000)
"""


def alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "kept"
    path.mkdir()
    return path


@contextlib.contextmanager
def owner_of_a_sleeper(folder: Path, *how: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that owns a keeper with one child, and the child's pid. What is left of its session is killed
    at the end.
    """
    command = [sys.executable, "-c", OWNER, str(folder), *how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as owner:
        try:
            assert owner.stdout is not None
            child, status = owner.stdout.readline().split()
            assert status == "None", "the sleeper should run"
            yield owner, int(child)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(owner.pid, signal.SIGKILL)


def end(owner: subprocess.Popen[str], signal_number: int) -> None:
    owner.send_signal(signal_number)
    owner.wait(timeout=60)


def test_close_ends_the_children_and_removes_the_folder(folder: Path) -> None:
    with kept(folder) as keeper:
        child = keeper.spawn("sleeper", ["sleep", "1000"], folder / "sleeper.log")
        assert alive(child)
    assert not alive(child)
    assert not folder.exists()


@pytest.mark.parametrize(
    "signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: signal.Signals(number).name
)
def test_children_and_folder_are_gone_when_the_owner_is_ended_by(signal_number: int, folder: Path) -> None:
    with owner_of_a_sleeper(folder) as (owner, child):
        end(owner, signal_number)
        assert wait_until(lambda: not alive(child) and not folder.exists(), timeout=60)


def test_a_forked_child_that_holds_the_control_socket_keeps_nothing_alive(folder: Path) -> None:
    with owner_of_a_sleeper(folder, "forking") as (owner, child):
        end(owner, signal.SIGKILL)
        assert wait_until(lambda: not alive(child) and not folder.exists(), timeout=60)


@pytest.mark.parametrize("how", [("leaving",), ("leaving", "patched")], ids=" ".join)
def test_a_forked_child_that_closes_and_exits_takes_nothing_down(how: tuple[str, ...], folder: Path) -> None:
    with owner_of_a_sleeper(folder, *how) as (_, child):
        assert alive(child)
        assert folder.exists()


def test_a_forked_child_cannot_steer(folder: Path) -> None:
    with kept(folder) as keeper:
        keeper.spawn("sleeper", ["sleep", "1000"], folder / "sleeper.log")
        pid = os.fork()
        if pid == 0:
            try:
                keeper.signal("sleeper", signal.SIGKILL)
            except ClusterError as error:
                os._exit(0 if "forked child" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert keeper.exit_status("sleeper") is None


@pytest.mark.parametrize("reaped_by", ["its owner", "somebody else"])  # who watches children with gevent reaps all of them
def test_children_die_with_a_killed_keeper_and_the_owner_removes_the_folder(folder: Path, reaped_by: str) -> None:
    keeper = ProcessKeeper(folder)
    child = keeper.spawn("sleeper", ["sleep", "1000"], folder / "sleeper.log")
    pid = int(Path(f"/proc/{child}/stat").read_text().split()[3])
    os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not alive(child), timeout=60)
    with pytest.raises(ClusterError, match="keeper"):
        keeper.exit_status("sleeper")
    if reaped_by == "somebody else":
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    began = time.monotonic()
    keeper.close()
    assert not folder.exists()
    assert time.monotonic() < began + 20, "it waited for a process that had ended"


def test_the_exit_status_tells_how_a_child_ended(folder: Path) -> None:
    with kept(folder) as keeper:
        keeper.spawn("three", ["sh", "-c", "echo out; echo err >&2; exit 3"], folder / "three.log")
        keeper.spawn("killed", ["sleep", "1000"], folder / "killed.log")
        assert keeper.wait("three", timeout=60) == 3
        assert (folder / "three.log").read_text() == "out\nerr\n"
        keeper.signal("killed", signal.SIGKILL)
        assert keeper.wait("killed", timeout=60) == -signal.SIGKILL
        keeper.signal("killed", signal.SIGKILL)  # an ended child is left alone


def test_a_command_that_cannot_be_run_is_an_error_and_the_keeper_goes_on(folder: Path) -> None:
    with kept(folder) as keeper:
        with pytest.raises(ClusterError, match="no-such-command"):
            keeper.spawn("missing", ["no-such-command"], folder / "missing.log")
        keeper.spawn("true", ["true"], folder / "true.log")
        assert keeper.wait("true", timeout=60) == 0


def test_a_reserved_port_is_given_to_nobody_else_and_can_be_listened_on(folder: Path) -> None:
    with kept(folder) as keeper:
        (port,) = keeper.reserve_ports([0])
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", port))
        for _ in range(2):  # as a broker does, and does again after a restart
            with socket.socket() as broker:
                broker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                broker.bind(("127.0.0.1", port))
                broker.listen()


def test_a_port_that_is_taken_cannot_be_reserved_and_is_named(folder: Path) -> None:
    with kept(folder) as keeper, socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(ClusterError, match=f"port {taken} .* in use"):
            keeper.reserve_ports([taken])


def test_waiting_lets_other_greenlets_run(folder: Path) -> None:
    import gevent

    ticks = []

    def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            gevent.sleep(0.01)

    ticker = gevent.spawn(tick)
    try:
        with kept(folder) as keeper:
            keeper.spawn("sleeper", ["sleep", "0.5"], folder / "sleeper.log")
            assert keeper.wait("sleeper", timeout=60) == 0
    finally:
        ticker.kill()
    assert len(ticks) > 10
