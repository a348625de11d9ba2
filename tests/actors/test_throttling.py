"""A broker whose quota a client exceeds answers at once, says how long it will read nothing more of that
connection, and does so (KIP-219).
"""

from __future__ import annotations

from time import monotonic
from typing import Any

import gevent
import pytest

from klife import DeliveryTimeout, Record
from klife.actors import engines
from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.metadata import MetadataRequest, MetadataResponse, MetadataResponseTopic
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.metadata_wire import MetadataQuery, Undecoded
from tests.support.scripted_broker import PATIENCE, CutOff, Exchange, ScriptedCluster, Step, throttle
from tests.support.waiting import wait_until


def muted(milliseconds: int) -> Step:
    """Answer with a throttle time, and read nothing of this connection for so long."""

    def step(exchange: Exchange) -> None:
        throttle(milliseconds)(exchange)
        gevent.sleep(milliseconds / 1000)

    return step


@pytest.mark.parametrize("options", [{"acks": 1}, {}], ids=["acks 1", "idempotent"])
def test_what_waits_in_the_socket_of_a_broker_that_throttles_is_not_late(start_client: Any, options: dict[str, Any]) -> None:
    with ScriptedCluster(topics={"orders": 3}) as cluster:
        client = start_client(cluster, max_in_flight_requests=3, batch_size_bytes=100, request_timeout_ms=400, **options)
        client.produce_batch([Record("orders", b"first", partition=partition) for partition in range(3)]).get(PATIENCE)
        before = len(cluster[1].got(ProduceRequest))
        broker = engines.find(client.name).metadata.broker(1)  # type: ignore[union-attr]

        def all_in_flight(exchange: Exchange) -> None:
            wait_until(lambda: len(broker.calls) >= 3, PATIENCE)
            muted(500)(exchange)

        cluster[1].script(ProduceRequest, all_in_flight, muted(500), muted(0))
        deliveries = [client.produce(Record("orders", b"x" * 200, partition=partition)) for partition in range(3)]
        assert [delivery.get(PATIENCE).error for delivery in deliveries] == [None] * 3
        requests = cluster[1].got(ProduceRequest)[before:]
        assert len(requests) == 3
        assert {request.connection for request in requests} == {requests[0].connection}
        assert [cluster.log("orders", partition).count(b"x" * 200) for partition in range(3)] == [1, 1, 1]


def test_a_throttle_is_the_brokers_and_a_new_connection_keeps_it(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"first")).get(PATIENCE)

        def throttle_and_leave(exchange: Exchange) -> None:
            throttle(600)(exchange)
            raise CutOff

        cluster[1].script(ProduceRequest, throttle_and_leave)
        client.produce(Record("orders", b"second")).get(PATIENCE)
        answered = monotonic()
        assert client.produce(Record("orders", b"third")).get(PATIENCE).offset == 2
        _, second, third = cluster[1].got(ProduceRequest)
        assert third.connection != second.connection
        assert third.at - answered > 0.5


def test_a_throttle_in_the_answer_of_the_handshake_counts_too(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(ApiVersionsRequest, throttle(300))
        start_client(cluster).wait_ready(PATIENCE)
        handshake, metadata = cluster[1].wait_for(ApiVersionsRequest)[0], cluster[1].wait_for(MetadataRequest)[0]
        assert metadata.at - handshake.at > 0.29


def test_a_large_metadata_answer_tells_its_throttle_time_before_it_is_decoded() -> None:
    topics = [MetadataResponseTopic(name=f"topic-{number}" * 10) for number in range(1000)]
    for version in (1, 3, 9, 12):
        data = MetadataResponse(throttle_time_ms=1234, topics=topics).encode(version)
        answer = MetadataQuery.RESPONSE.decode(data, version)
        assert isinstance(answer, Undecoded)
        assert answer.throttle_time_ms == answer.decode().throttle_time_ms == (1234 if version >= 3 else 0)


def test_the_delivery_timeout_stays_whatever_the_broker_asks_for(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, request_timeout_ms=1_000, delivery_timeout_ms=2_000)
        client.produce(Record("orders", b"first")).get(PATIENCE)
        cluster[1].script(ProduceRequest, throttle(60_000))
        client.produce(Record("orders", b"second")).get(PATIENCE)
        with pytest.raises(DeliveryTimeout):
            client.produce(Record("orders", b"third")).get(PATIENCE)
