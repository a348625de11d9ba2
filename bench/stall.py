"""`python -m bench.stall`: how long a program's other greenlets stand still while all brokers do, for 2 s.

A program sends records from eight greenlets, each of which waits for one before it sends the next. Beside
them a greenlet sleeps for 5 ms, again and again, and notes how much longer it took. All brokers of a real
cluster are stopped (SIGSTOP) for 2 s meanwhile. The longest of these gaps is what a web worker's other
requests would have felt. A control process that only ticks runs at the same time: what it sees is the
machine's doing, and taken off.

Each client waits for a record as its documentation shows: klife `Delivery.get`, kafka-python `Future.get`,
confluent-kafka `flush`; that one also by asking `poll(0)` every 5 ms, which is what programs with gevent make
of it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from typing import Any

from klife.testing.cluster import KafkaCluster

TOPIC = "stall"
WORKERS = 8
TICK_SECONDS = 0.005
WARM_UP_SECONDS = 2.0
BEFORE_SECONDS, STALL_SECONDS, AFTER_SECONDS = 1.0, 2.0, 2.0
VALUE = b"x" * 100

Send = Callable[[], None]


# in the measured process


def _klife(servers: str) -> Send:
    import structlog

    from klife import Client, Record

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # standard output is for the result
    client = Client.start(servers)

    def send() -> None:
        client.produce(Record(TOPIC, VALUE)).get()

    return send


def _kafka_python(servers: str) -> Send:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=servers, acks="all")

    def send() -> None:
        producer.send(TOPIC, VALUE).get(timeout=30)

    return send


def _confluent(servers: str) -> Send:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 0})

    def send() -> None:
        producer.produce(TOPIC, VALUE)
        producer.flush()

    return send


def _confluent_polling(servers: str) -> Send:
    import gevent
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 0})

    def send() -> None:
        outcomes: list[Any] = []
        producer.produce(TOPIC, VALUE, on_delivery=lambda error, _message: outcomes.append(error))
        while not outcomes:
            producer.poll(0)
            gevent.sleep(TICK_SECONDS)

    return send


CLIENTS: dict[str, Callable[[str], Send]] = {
    "klife": _klife,
    "kafka-python": _kafka_python,
    "confluent-kafka, flush": _confluent,
    "confluent-kafka, poll(0)": _confluent_polling,
}


def measure(name: str | None, servers: str) -> None:
    """Work and tick; print a line when warm, and at the end what was seen. Without a name: only tick."""
    import gevent

    sent = 0

    def work(send: Send) -> None:
        nonlocal sent
        while True:
            send()
            sent += 1
            gevent.sleep(0)  # unpatched, some clients' waiting lets nobody run; the program does, at least between two records

    if name is not None:
        send = CLIENTS[name](servers)
        for _ in range(WORKERS):
            gevent.spawn(work, send)
    _tick(WARM_UP_SECONDS)
    print("warm", flush=True)
    before = sent
    longest = _tick(BEFORE_SECONDS + STALL_SECONDS + AFTER_SECONDS)
    print(json.dumps({"longest_ms": longest * 1000, "sent": sent - before}), flush=True)
    os._exit(0)  # none of the clients' own ways to end is measured here


def _tick(seconds: float) -> float:
    import gevent

    longest, before = 0.0, monotonic()
    ends = before + seconds
    while before < ends:
        gevent.sleep(TICK_SECONDS)
        now = monotonic()
        longest, before = max(longest, now - before - TICK_SECONDS), now
    return longest


# in the measuring one


def one(cluster: KafkaCluster, name: str, *, patched: bool) -> dict[str, float]:
    """Stall the brokers under one client; milliseconds of the longest gaps, and the records that were sent."""
    control, client = (_start(each, cluster.bootstrap_servers, patched=patched) for each in (None, name))
    try:
        for process in (control, client):
            if _line(process) != "warm":
                raise RuntimeError(f"{name} did not get warm; its process ended with {process.wait()}")
        sleep(BEFORE_SECONDS)
        for node_id in cluster.broker_ids:
            cluster.pause(node_id)
        sleep(STALL_SECONDS)
        for node_id in cluster.broker_ids:
            cluster.resume(node_id)
        seen, idle = (json.loads(_line(process)) for process in (client, control))
    finally:
        for process in (control, client):
            process.kill()
            process.wait()
    return {"longest_ms": seen["longest_ms"], "control_ms": idle["longest_ms"], "sent": seen["sent"]}


def _start(name: str | None, servers: str, *, patched: bool) -> subprocess.Popen[str]:
    command = [sys.executable, *(["-m", "gevent.monkey"] if patched else []), str(Path(__file__)), "--servers", servers]
    return subprocess.Popen([*command, *(["--measure", name] if name else ["--control"])], stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def table(samples: dict[tuple[str, bool], list[dict[str, float]]]) -> str:
    """Medians and worst of all rounds; "above" is what the client's own process saw more than the control
    beside it.
    """
    lines = [
        "| client | gevent patched | longest gap, ms | control, ms | above it: median | worst | records in 5 s |",
        "|---|---|---|---|---|---|---|",
    ]
    for (name, patched), rounds in samples.items():
        above = [each["longest_ms"] - each["control_ms"] for each in rounds]
        lines.append(
            f"| {name} | {'yes' if patched else 'no'} | {median(each['longest_ms'] for each in rounds):.1f} "
            f"| {median(each['control_ms'] for each in rounds):.1f} | {median(above):.1f} | {max(above):.1f} "
            f"| {median(each['sent'] for each in rounds):.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stall", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", nargs="+", choices=list(CLIENTS), default=list(CLIENTS))
    parser.add_argument("--servers", help=argparse.SUPPRESS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--control", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure or asked.control:
        measure(asked.measure, asked.servers)
        return
    samples: dict[tuple[str, bool], list[dict[str, float]]] = {}
    with KafkaCluster(brokers=3, config={"broker.session.timeout.ms": 18_000}) as cluster:
        cluster.create_topic(TOPIC, 6, 3)
        for number in range(asked.rounds):
            for name in asked.clients:
                for patched in (False, True):
                    sample = one(cluster, name, patched=patched)
                    samples.setdefault((name, patched), []).append(sample)
                    print(f"round {number + 1}: {name}, {'patched' if patched else 'not patched'}: {sample}", flush=True)
    print(f"\n{table(samples)}")


if __name__ == "__main__":
    main()
