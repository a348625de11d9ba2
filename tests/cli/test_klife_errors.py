"""A user's mistake costs one clear line, and is never a traceback."""

from __future__ import annotations

import subprocess
import sys

import gevent.subprocess
import pytest
from typer.testing import CliRunner

from klife.cli.app import app
from klife.testing.cluster import KafkaCluster
from tests.support.cli_command import COMMAND, NewTopic, RunKlife, environment
from tests.support.scripted_broker import ScriptedCluster


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["produce", "orders", "--botstrap", "localhost:9092"], "--botstrap"),
        (["produce"], "TOPIC"),
        (["prodce"], "prodce"),
        (["demo", "--greenlets", "0"], "--greenlets"),
    ],
)
def test_a_wrong_command_line_is_named(arguments: list[str], named: str) -> None:
    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert named in last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["produce", "orders", "--file", "missing.txt"], "klife: cannot read missing.txt: No such file or directory"),
        (["produce", "orders", "--file", "."], "klife: cannot read .: it is a directory"),
        (["produce", "orders", "--key-separator", ""], "klife: --key-separator is empty; give what stands between key and value"),
        (["produce", "orders", "--bootstrap", "nonsense"], "klife: bootstrap_servers[0]: got str 'nonsense', expected \"host:port\""),
        (["topics", "--bootstrap", "nonsense"], "klife: bootstrap_servers[0]: got str 'nonsense', expected \"host:port\""),
        (["demo", "--bootstrap", "nonsense"], "klife: bootstrap_servers[0]: got str 'nonsense', expected \"host:port\""),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_tried(run_klife: RunKlife, arguments: list[str], line: str) -> None:
    done = run_klife(*arguments)

    assert done.returncode == 1
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_cluster_that_does_not_answer_is_named_with_the_reason_once() -> None:
    commands = [["produce", "orders"], ["topics"], ["demo"]]
    running = [
        subprocess.Popen(
            [*COMMAND, *command, "--bootstrap", "127.0.0.1:1"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        for command in commands
    ]  # together, because each of them tries for ten seconds

    for process in running:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert output == ""
        assert errors.count("\n") == 1
        assert errors.startswith("klife: ")
        assert "127.0.0.1:1: " in errors
        assert "Connection refused" in errors


def test_a_topic_that_is_not_there_is_named(run_klife: RunKlife, kafka_cluster: KafkaCluster) -> None:
    done = run_klife("produce", "no-such-topic", "--bootstrap", kafka_cluster.bootstrap_servers, text="a\n")

    assert done.returncode == 1
    assert done.stderr.startswith("klife: the cluster has no topic 'no-such-topic'")
    assert done.stderr.count("\n") == 1


def test_a_partition_that_is_not_there_is_named(run_klife: RunKlife, kafka_cluster: KafkaCluster, new_topic: NewTopic) -> None:
    topic = new_topic(partitions=2)

    done = run_klife("produce", topic, "--partition", "2", "--bootstrap", kafka_cluster.bootstrap_servers, text="a\n")

    assert done.returncode == 1
    assert done.stderr == f"klife: --partition 2: topic '{topic}' has the partitions 0 to 1\n"


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_its_extra_the_command_says_what_to_install(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; from klife.cli import main; main()"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment())

    assert done.returncode == 1
    assert done.stderr.strip().endswith('pip install "klife[cli]"')
    assert package in done.stderr
    assert "Traceback" not in done.stderr


def test_the_log_of_a_command_goes_to_standard_error_from_warnings_on() -> None:
    code = """
import contextlib, sys, structlog
from klife.cli import main
from klife.cli.logs import errors_only
sys.argv[1:] = ["--help"]
with contextlib.suppress(SystemExit):
    main()
log = structlog.get_logger("klife")
log.info("not shown")
log.warning("shown", broker=1)
with errors_only():
    log.warning("not shown")
    log.error("shown too")
log.debug("not shown")
log.warning("shown again")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment())

    assert "shown" not in done.stdout
    shown = [line.split("]")[1].split("  ")[0].strip() for line in done.stderr.splitlines()]
    assert shown == ["shown", "shown too", "shown again"]
    assert "broker=1" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_a_full_disk_under_standard_output_is_a_line(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (1, "klife: [Errno 28] No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_stream_that_is_closed_is_an_empty_one(closed: str) -> None:
    with ScriptedCluster() as cluster:
        shell = f'exec "$@" {closed}'
        produce = ["produce", "orders", "--bootstrap", cluster.bootstrap_servers]
        running = gevent.subprocess.Popen(
            ["sh", "-c", shell, "sh", *COMMAND, *produce], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment()
        )
        _, told = running.communicate()
    assert running.returncode == 0, told
    assert b"Traceback" not in told
