"""`python -m bench.fork`: what becomes of records that a forked child sends by the client its parent made.

As in a server that imports the application before it forks its workers (`gunicorn --preload`). A process
makes a client, sends a record, waits for it, and forks. The child sends a hundred records and waits for each
client's own report, as its documentation shows, for at most ten seconds; it is killed after twenty. Then the
log tells what is there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from klife.testing.cluster import KafkaCluster

RECORDS = 100
WAIT_SECONDS = 10.0
PATIENCE_SECONDS = 20.0
VALUE = b"x" * 100

Report = dict[str, int]
Send = Callable[[int], Report]


# in the measured process


def _klife(servers: str, topic: str) -> Send:
    import structlog

    from klife import Client, Record

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for the result
    client = Client.start(servers)

    def send(count: int) -> Report:
        deliveries = [client.produce(Record(topic, VALUE)) for _ in range(count)]
        errors = [delivery.exception(WAIT_SECONDS) for delivery in deliveries]
        return {"delivered": errors.count(None), "failed": count - errors.count(None)}

    return send


def _confluent(servers: str, topic: str) -> Send:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True})

    def send(count: int) -> Report:
        outcomes: list[Any] = []
        for _ in range(count):
            producer.produce(topic, VALUE, on_delivery=lambda error, _message: outcomes.append(error))
        producer.flush(WAIT_SECONDS)
        return {"delivered": outcomes.count(None), "failed": len(outcomes) - outcomes.count(None)}

    return send


def _kafka_python(servers: str, topic: str) -> Send:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=servers, acks="all")

    def send(count: int) -> Report:
        futures = [producer.send(topic, VALUE) for _ in range(count)]
        producer.flush(timeout=WAIT_SECONDS)
        return {"delivered": sum(future.succeeded() for future in futures), "failed": sum(future.failed() for future in futures)}

    return send


CLIENTS: dict[str, Callable[[str, str], Send]] = {"klife": _klife, "kafka-python": _kafka_python, "confluent-kafka": _confluent}


def measure(name: str, servers: str, topic: str) -> None:
    """Send one record, fork, and print what the child reports: nothing, where it hangs or ends with an
    exception.
    """
    send = CLIENTS[name](servers, topic)
    assert send(1)["delivered"] == 1
    child = os.fork()
    if not child:
        began = monotonic()
        try:
            report: dict[str, object] = dict(send(RECORDS))
        except Exception as error:  # the client's own word for what became of it
            report = {"raised": type(error).__name__}
        print(json.dumps({**report, "seconds": monotonic() - began}), flush=True)
        os._exit(0)  # none of the clients' own ways to end is measured here
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(int(PATIENCE_SECONDS))
    os.waitpid(child, 0)
    os._exit(0)


# in the measuring one


def one(cluster: KafkaCluster, name: str) -> str:
    """A row of the table."""
    topic = f"fork-{name}"
    cluster.create_topic(topic, 1, 3)
    command = [sys.executable, "-m", "bench.fork", "--measure", name, "--servers", cluster.bootstrap_servers, "--topic", topic]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    report: dict[str, Any] = {"raised": "nothing: it hung, and was killed", "seconds": PATIENCE_SECONDS}
    with contextlib.suppress(IndexError):
        report = json.loads(done.stdout.splitlines()[-1])
    written = _in_log(cluster, topic) - 1  # without the parent's
    if "raised" in report:
        said = f"raised {report['raised']}"
    else:
        delivered, failed = report["delivered"], report["failed"]
        said = f"{delivered} delivered, {failed} failed, {RECORDS - delivered - failed} not reported"
    return f"| {name} | {said} | {report['seconds']:.1f} | {written} |"


def _in_log(cluster: KafkaCluster, topic: str) -> int:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec

    admin = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})  # it must live as long as its answers are waited for
    (answer,) = admin.list_offsets({TopicPartition(topic, 0): OffsetSpec.latest()}).values()
    offset: int = answer.result(timeout=30).offset
    return offset


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.fork", description=__doc__)
    parser.add_argument("--clients", nargs="+", choices=list(CLIENTS), default=list(CLIENTS))
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--servers", help=argparse.SUPPRESS)
    parser.add_argument("--topic", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.measure, asked.servers, asked.topic)
        return
    with KafkaCluster(brokers=3) as cluster:
        rows = [one(cluster, name) for name in asked.clients]
    header = f"| client | what the child was told of its {RECORDS} records | after, s | of them in the log |\n|---|---|---|---|"
    print("\n".join([header, *rows]))


if __name__ == "__main__":
    main()
