"""`klife cluster up|down` as a user runs it: processes, signals, exit codes. Single brokers, which start in few seconds."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from klife.testing.cluster_processes import wait_until
from klife.testing.jars import jars_folder, kafka_jars

KLIFE = [sys.executable, "-m", "klife.cli"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Temporary and state files in a folder of the test's own, the jars from the user's cache."""
    jars = kafka_jars()
    cache = tmp_path / "cache"
    below = jars_folder("4.3").relative_to(jars_folder("4.3").parents[2])
    (cache / below).parent.mkdir(parents=True)
    (cache / below).symlink_to(jars)
    (tmp_path / "tmp").mkdir()
    return {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "XDG_CACHE_HOME": str(cache)}


def klife(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*KLIFE, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False)


def listens(address: str) -> bool:
    host, _, port = address.strip().rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError:
        return False
    return True


def nothing_left(tmp_path: Path, address: str) -> bool:
    return not listens(address) and not list((tmp_path / "tmp").iterdir())


def test_ctrl_c_takes_the_cluster_down_and_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    command = [*KLIFE, "cluster", "up", "--brokers", "1"]
    up = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0)
    assert up.stdout is not None
    address = up.stdout.readline()
    assert listens(address)

    second = klife(environment, "cluster", "up")
    assert second.returncode == 1
    assert f"'default' is up already ({address.strip()}): `klife cluster down` ends it" in second.stderr

    os.killpg(up.pid, signal.SIGINT)  # as a terminal sends it: to all of the foreground's processes
    _, messages = up.communicate(timeout=30)
    assert up.returncode == 0, messages
    assert nothing_left(tmp_path, address)
    assert not list((tmp_path / "cache" / "klife" / "clusters").iterdir())


def test_a_detached_cluster_outlives_its_command_and_down_removes_it_even_after_a_sigkill_of_another(
    environment: dict[str, str], tmp_path: Path
) -> None:
    up = klife(environment, "cluster", "up", "--brokers", "1", "--detach")
    assert up.returncode == 0, up.stderr
    assert listens(up.stdout)
    down = klife(environment, "cluster", "down")
    assert down.returncode == 0, down.stderr
    assert nothing_left(tmp_path, up.stdout)

    again = klife(environment, "cluster", "up", "--brokers", "1", "--detach")
    assert again.returncode == 0, again.stderr
    state = json.loads((tmp_path / "cache" / "klife" / "clusters" / "default.json").read_text())
    os.kill(state["pid"], signal.SIGKILL)
    assert wait_until(lambda: nothing_left(tmp_path, again.stdout), timeout=10)
    assert klife(environment, "cluster", "down").returncode == 1


def test_a_background_start_that_fails_says_why(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        up = klife(environment, "cluster", "up", "--brokers", "1", "--detach", "--port", port)
    assert up.returncode == 1
    assert f"port {port} of 127.0.0.1 cannot be had" in up.stderr


@pytest.mark.parametrize("how", [[], ["--detach"]])
def test_a_version_that_can_not_be_had_is_said_in_a_line(environment: dict[str, str], how: list[str]) -> None:
    up = klife(environment, "cluster", "up", "--version", "2.3", *how)
    assert up.returncode == 1
    assert up.stderr.startswith("'2.3' is not a release of Kafka; expected three numbers such as 4.3.1, or one of the series 2.4, ")
    assert up.stderr.count("\n") == 1


def test_where_kafka_can_not_be_run_each_way_is_named_and_no_traceback_is_printed(environment: dict[str, str]) -> None:
    up = klife({**environment, "JAVA_HOME": "", "PATH": "", "DOCKER_HOST": "unix:///nowhere/docker.sock"}, "cluster", "up")
    assert up.returncode == 1
    assert "Java is neither below JAVA_HOME nor on the PATH" in up.stderr
    assert "no container engine answers" in up.stderr
    assert "Traceback" not in up.stderr


def test_without_its_packages_the_command_says_what_to_install() -> None:
    program = "import sys; sys.modules['typer'] = None; from klife.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert 'typer is not installed: pip install "klife[cli]"' in ended.stderr
