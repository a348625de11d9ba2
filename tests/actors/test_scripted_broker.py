"""The scripted broker is a broker: clients that share no line with klife produce to it, also when it refuses
and breaks off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer
from gevent import get_hub
from kafka import KafkaProducer

from klife.protocol.apis.produce import ProduceRequest
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, Step, cut, done_then_cut, refuse

VALUES = [b"%d" % number for number in range(20)]


def by_confluent(servers: str) -> list[int]:
    """Produce VALUES with librdkafka; the offsets its delivery reports tell."""
    offsets: list[int] = []

    def report(error: Any, message: Any) -> None:
        assert error is None, error
        offsets.append(message.offset())

    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 0, "retry.backoff.ms": 10})
    for value in VALUES:
        producer.produce("orders", value, partition=0, on_delivery=report)
        producer.flush(PATIENCE)
    return offsets


def by_kafka_python(servers: str) -> list[int]:
    """Produce VALUES with kafka-python; the offsets its futures tell."""
    producer = KafkaProducer(bootstrap_servers=servers, acks="all", retry_backoff_ms=10, reconnect_backoff_ms=10)
    try:
        return [producer.send("orders", value, partition=0).get(PATIENCE).offset for value in VALUES]
    finally:
        producer.close(timeout=1)


@pytest.mark.parametrize(
    "steps", [[], [refuse(19)], [refuse(6)], [cut], [done_then_cut]], ids=["good", "19", "6", "cut", "done then cut"]
)
@pytest.mark.parametrize("produce", [by_confluent, by_kafka_python])
def test_other_clients_produce_to_it(produce: Callable[[str], list[int]], steps: list[Step]) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(ProduceRequest, *steps)
        offsets = get_hub().threadpool.apply(produce, (cluster.bootstrap_servers,))
        assert offsets == list(range(20))
        assert cluster.log("orders") == VALUES
        assert len(cluster[1].got(ProduceRequest)) == 20 + len(steps)
