"""What the README says of klife where it says what other clients do."""

from __future__ import annotations

from time import monotonic

import gevent
import pytest

from klife import Client, Record, WaitTimeout
from klife.testing.cluster import KafkaCluster

STALL_SECONDS = 2.0
LONGEST_GAP_SECONDS = 1.5  # room for a busy machine; a client that waits in the hub's place is at STALL_SECONDS and more


def test_a_stalled_broker_stops_only_the_greenlets_that_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KLIFE_TEST_BOOTSTRAP", raising=False)  # a cluster that is not ours cannot be paused
    gaps = []

    def tick() -> None:
        while True:
            before = monotonic()
            gevent.sleep(0.001)
            gaps.append(monotonic() - before)

    with KafkaCluster(brokers=1) as cluster:
        cluster.create_topic("orders", partitions=1)
        with Client.start(cluster.bootstrap_servers) as client:
            client.produce(Record(topic="orders", value=b"before")).get()
            cluster.pause(1)
            ticker = gevent.spawn(tick)
            deliveries = [client.produce(Record(topic="orders", value=b"while it stalls")) for _ in range(100)]
            with pytest.raises(WaitTimeout):
                deliveries[0].get(STALL_SECONDS)
            ticker.kill()
            cluster.resume(1)
            assert [delivery.exception() for delivery in deliveries] == [None] * 100
    assert max(gaps) < LONGEST_GAP_SECONDS
