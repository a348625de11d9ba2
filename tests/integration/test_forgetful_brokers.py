"""What a broker forgets when it is shut down and started again: of a producer's last batches all but one."""

from __future__ import annotations

from time import time_ns

import gevent

from klife import Client, Record
from klife.testing.cluster import KafkaCluster
from tests.chaos.proxy import Proxy
from tests.support.reader import as_read, read_topic
from tests.support.waiting import wait_until

PATIENCE = 60.0


def test_batches_that_were_written_and_not_answered_are_in_the_log_once_after_a_broker_s_restart() -> None:
    proxy = Proxy()
    try:
        with KafkaCluster(brokers=1, backend="jars", proxies={1: proxy.address}) as cluster:
            host, _, port = cluster.bootstrap_servers_for("PROXIED").rpartition(":")
            proxy.target = host, int(port)
            cluster.create_topic("orders", 1, replication_factor=1)
            with Client.start(proxy.address, max_in_flight_requests=5) as client:
                client.produce(Record("orders", b"0")).get(PATIENCE)
                losing = gevent.spawn(proxy.strike, "lose answers", PATIENCE, 0)
                deliveries = []
                for number in range(1, 4):  # a batch each
                    deliveries.append(client.produce(Record("orders", b"%d" % number)))
                    wait_until(lambda: client.status().producers[0].requests == len(deliveries) + 1)
                now = time_ns() // 1_000_000
                last = [Record("orders", b"%d" % number, timestamp_ms=now + number) for number in (4, 5)]  # two in the last
                deliveries += [client.produce(record) for record in last]
                wait_until(lambda: len(read_topic(cluster.bootstrap_servers, "orders")) >= 6, PATIENCE)
                cluster.stop(1)
                losing.kill()
                cluster.start(1)
                results = [delivery.get(PATIENCE) for delivery in deliveries]
                results.append(client.produce(Record("orders", b"6")).get(PATIENCE))
            found = read_topic(cluster.bootstrap_servers, "orders")
    finally:
        proxy.close()
    assert [(each.value, each.offset) for each in found] == [(b"%d" % number, number) for number in range(7)]
    assert [result.error for result in results] == [None] * 6
    assert [result.offset for result in results] == [None, None, None, 4, 5, 6]  # of all but the last it forgot where they are
    # Of the last it says the largest timestamp, as if it had set it; but each record has its own.
    assert [as_read(result) for result in results[3:]] == found[4:]
