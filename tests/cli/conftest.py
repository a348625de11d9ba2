"""A command to run, and topics to run it on."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from threading import Thread

import pytest

from klife.testing.cluster import KafkaCluster
from tests.support import importing_tests
from tests.support.cli_command import NewTopic, RunKlife, environment

TIMEOUT_SECONDS = 280


@pytest.fixture(scope="session")
def zygote() -> Iterator[socket.socket]:
    """The way to a process of tests.support.cli_zygote."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(TIMEOUT_SECONDS)
    command = [sys.executable, "-m", "tests.support.cli_zygote"]
    with theirs:
        process = subprocess.Popen(command, stdin=theirs, env=environment(PYTHONPATH=importing_tests()["PYTHONPATH"]))
    with ours:
        yield ours
    process.wait(TIMEOUT_SECONDS)


@pytest.fixture
def run_klife(zygote: socket.socket) -> RunKlife:
    """Runs `klife ARGUMENTS`, in a process of its own, to its end, with text for its standard input."""

    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        theirs, ours = os.pipe()
        with tempfile.TemporaryFile("r+") as output, tempfile.TemporaryFile("r+") as errors:
            command = json.dumps({"arguments": arguments, "environment": environment()}).encode()
            socket.send_fds(zygote, [command], [theirs, output.fileno(), errors.fileno()])
            os.close(theirs)
            writer = Thread(target=_write, args=(ours, text))
            writer.start()
            status = int(zygote.recv(16))
            writer.join()
            output.seek(0)
            errors.seek(0)
            return subprocess.CompletedProcess(arguments, status, output.read(), errors.read())

    return run


def _write(pipe: int, text: str) -> None:
    """A command may end without having read all."""
    with contextlib.suppress(BrokenPipeError), open(pipe, "w") as file:
        file.write(text)


@pytest.fixture
def new_topic(kafka_cluster: KafkaCluster) -> NewTopic:
    """Creates a topic of its own for the test; the topic's name."""

    def create(partitions: int = 1, **config: object) -> str:
        name = f"cli-{uuid.uuid4().hex[:8]}"
        kafka_cluster.create_topic(name, partitions=partitions, replication_factor=3, config=config)
        return name

    return create
