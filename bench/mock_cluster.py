"""librdkafka's mock cluster as a process of its own: brokers so cheap that the client is what a benchmark
measures.

The mock lives in the librdkafka that confluent-kafka brings along. Its Python API makes topics with four
partitions only, so the C functions (`rdkafka_mock.h`) are called directly. A process of its own keeps the
mock's CPU time out of the contestants' accounts.

Run as a module it prints its bootstrap servers, then serves until its standard input closes, so that it
cannot outlive its parent.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import files
from types import TracebackType

import confluent_kafka  # noqa: F401  loads librdkafka and what it depends on

from klife.admin import AdminClient
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic

BROKERS = 3
_RD_KAFKA_PRODUCER = 0


class MockCluster:
    """A running mock cluster: `with MockCluster(["orders"], partitions=30) as mock: mock.bootstrap_servers`.

    `idle_topics` have the mock's default of four partitions. It makes them itself when it is asked for them,
    at once; made one by one, ten thousand take most of an hour, because its thread misses every fourth call
    and sleeps for a second.
    """

    def __init__(self, topics: Sequence[str], partitions: int, idle_topics: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.mock_cluster", str(partitions), *topics],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.bootstrap_servers = self._process.stdout.readline().strip()
        if not self.bootstrap_servers:
            raise RuntimeError(f"librdkafka's mock cluster did not start (exit code {self._process.wait()}); its error is above")
        if idle_topics:
            asked = MetadataRequest(topics=[MetadataRequestTopic(name=name) for name in idle_topics], allow_auto_topic_creation=True)
            with AdminClient(self.bootstrap_servers) as admin:
                admin.send(asked, self.bootstrap_servers.split(",")[0])

    def __enter__(self) -> MockCluster:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()


def _librdkafka() -> ctypes.CDLL:
    for file in files("confluent-kafka") or []:
        if file.name.startswith("librdkafka") and ".so" in file.name:
            return ctypes.CDLL(str(file.locate()))
    raise RuntimeError("this confluent-kafka has no librdkafka of its own; install one of its binary wheels")


def _start(topics: list[str], partitions: int) -> str:
    library = _librdkafka()
    library.rd_kafka_new.restype = ctypes.c_void_p
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    error = ctypes.create_string_buffer(512)
    configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
    # The handle only carries the mock; without this it warns that it has no bootstrap servers.
    library.rd_kafka_conf_set(configuration, b"log_level", b"2", error, ctypes.c_size_t(len(error)))
    handle = library.rd_kafka_new(_RD_KAFKA_PRODUCER, configuration, error, ctypes.c_size_t(len(error)))
    if not handle:
        raise RuntimeError(error.value.decode())
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(ctypes.c_void_p(handle), BROKERS))
    for topic in topics:
        code = library.rd_kafka_mock_topic_create(cluster, topic.encode(), partitions, BROKERS)
        if code:
            raise RuntimeError(f"the mock cluster refused topic {topic!r}: librdkafka's error {code}")
    bootstrap_servers: bytes = library.rd_kafka_mock_cluster_bootstraps(cluster)
    return bootstrap_servers.decode()


if __name__ == "__main__":
    print(_start(sys.argv[2:], int(sys.argv[1])), flush=True)
    sys.stdin.read()
