"""Records produced while the interpreter exits, behind klife's own exit function, on a real cluster: in the
log, or told.
"""

from __future__ import annotations

import subprocess
import sys

from gevent import get_hub

from klife.testing.cluster import KafkaCluster
from tests.support.on_cluster import MakeTopic, ReadBack

PROGRAM = """
import atexit, logging, sys, weakref

atexit.register(lambda: client.produce_async(Record(sys.argv[2], b"of an earlier function")))
from klife import Client, Record


class Handler(logging.Handler):
    def close(self):
        client.produce_async(Record(sys.argv[2], b"of a handler"))


logging.getLogger().addHandler(Handler())
class Finalized:
    pass


finalized = Finalized()
weakref.finalize(finalized, lambda: client.produce_async(Record(sys.argv[2], b"of a finalizer")))
client = Client.start(sys.argv[1], linger_ms=60_000, delivery_timeout_ms=90_000)
client.produce_async(Record(sys.argv[2], b"before"))
"""

IN_A_DESTRUCTOR = """
import sys
from klife import Client, Record


class Noisy:
    def __init__(self):
        self.client, self.record = client, Record(sys.argv[2], b"late")

    def __del__(self):
        self.client.produce_async(self.record)


client = Client.start(sys.argv[1])
client.produce(Record(sys.argv[2], b"before")).get()
noisy = Noisy()
"""


def run(program: str, *arguments: str) -> str:
    """Run a program to its end, without an error; what it wrote to standard error."""
    command = [sys.executable, "-c", program, *arguments]
    ended = get_hub().threadpool.apply(lambda: subprocess.run(command, capture_output=True, text=True, timeout=280, check=False))
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_what_is_produced_at_exit_is_in_the_log_or_told(
    kafka_cluster: KafkaCluster, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    topic = make_topic(1)
    told = run(PROGRAM, kafka_cluster.bootstrap_servers, topic)
    found = {read.value for read in read_back(topic)}
    assert found >= {b"before", b"of an earlier function", b"of a handler", b"of a finalizer"}
    assert "was not stopped before exit" in told


def test_what_a_destructor_produces_when_no_greenlet_runs_any_more_is_told(
    kafka_cluster: KafkaCluster, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    topic = make_topic(1)
    assert "the interpreter is being torn down" in run(IN_A_DESTRUCTOR, kafka_cluster.bootstrap_servers, topic)
    assert [read.value for read in read_back(topic)] == [b"before"]
