"""No broker is reached, or what is reached is no broker: what callers are told, and how soon the next address
is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent import socket

from klife import BrokersUnreachable, Client, ProduceError, Record, UnknownTopic
from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest
from klife.protocol.apis.metadata import MetadataRequest
from tests.support.inside_client import tells_why_it_is_not_ready
from tests.support.scripted_broker import PATIENCE, Exchange, ScriptedCluster, controller, cut, good, silent
from tests.support.waiting import wait_until_known

ORDER = Record(topic="orders", value=b"v")


def test_no_broker_reached_is_an_error_of_its_own_with_each_address_and_why(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        cluster[1].stop()
        cluster[2].always(ApiVersionsRequest, silent)
        client = start_client(cluster, max_block_ms=400, connect_timeout_ms=100)
        for call in (lambda: client.produce(ORDER), lambda: client.partitions("orders")):
            with pytest.raises(BrokersUnreachable, match=rf"{cluster[1].address}.*refused") as caught:
                call()
            assert f"{cluster[2].address}" in str(caught.value)
            assert "the handshake was not through" in str(caught.value)
            assert "create the topic" not in str(caught.value)
            assert not isinstance(caught.value, UnknownTopic)
            assert caught.value.retriable
            assert not caught.value.possibly_persisted
        [result] = client.produce_batch([ORDER]).get(PATIENCE)
        assert isinstance(result.error, BrokersUnreachable)


def test_a_topic_that_the_cluster_does_not_know_is_not_told_as_unreachable_brokers(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, max_block_ms=200)
        with pytest.raises(UnknownTopic, match="create the topic"):
            client.produce(Record("nowhere", b"v"))


def test_brokers_that_are_gone_are_told_though_they_were_there_before(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, max_block_ms=400, topics=[{"name": ORDER.topic}])
        wait_until_known(client, ORDER.topic)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].stop()
        with pytest.raises(BrokersUnreachable, match=cluster[1].address):
            client.produce(Record("another", b"v"))


# what is no broker, or none for us


def test_a_controllers_listener_is_told_as_one(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(ApiVersionsRequest, controller)
        client = start_client(cluster, max_block_ms=200)
        tells_why_it_is_not_ready(client, f"{cluster[1].address}.*KRaft controller.*name a broker's listener")
        with pytest.raises(BrokersUnreachable, match="KRaft controller"):
            client.produce(ORDER)


def test_a_broker_without_a_version_of_metadata_that_klife_has_is_told_with_both_ranges(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].versions[MetadataRequest] = (90, 99)
        tells_why_it_is_not_ready(start_client(cluster), r"no common version of Metadata.*90 to 99")


def test_a_broker_that_closes_the_connection_at_the_first_request_is_told_as_one_that_may_want_sasl(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(MetadataRequest, cut)
        tells_why_it_is_not_ready(start_client(cluster), "the broker closed the connection; a listener that wants SASL does that")


@pytest.fixture
def listener() -> Iterator[Any]:
    """Listens, sends `greeting` to whoever has said something, and closes."""
    with ExitStack() as stack:

        def listen(greeting: bytes) -> str:
            def serve(sock: Any, _address: Any) -> None:
                sock.recv(1000)
                sock.sendall(greeting)

            listening = stack.enter_context(socket.socket())
            listening.bind(("127.0.0.1", 0))
            listening.listen(16)
            server = gevent.server.StreamServer(listening, serve)
            server.start()
            stack.callback(server.stop, 0)
            return f"127.0.0.1:{listening.getsockname()[1]}"

        yield listen


@pytest.mark.parametrize(
    ("greeting", "told"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x50", "the listener speaks TLS: set tls"),  # Kafka 4.3, word for word
        (b"", "the broker closed the connection; a listener that wants TLS does that"),
    ],
    ids=["an alert", "closes"],
)
def test_a_listener_that_wants_tls_is_told_as_one(listener: Any, greeting: bytes, told: str) -> None:
    with Client.start(listener(greeting)) as client:
        tells_why_it_is_not_ready(client, told)


# who is asked next


def test_a_bootstrap_address_that_answers_the_handshake_only_does_not_keep_the_next_from_being_asked(start_client: Any) -> None:
    with ScriptedCluster() as dumb, ScriptedCluster() as cluster:
        dumb[1].always(MetadataRequest, silent)
        dumb[1].always(InitProducerIdRequest, silent)
        began = monotonic()
        client = Client.start([dumb[1].address, cluster[1].address])  # request_timeout_ms is 15 s
        try:
            client.wait_ready(PATIENCE)
            assert client.produce(ORDER).get(PATIENCE).offset == 0
            assert monotonic() - began < PATIENCE
            assert len(dumb[1].got(MetadataRequest)) == 1
        finally:
            client.stop(0)


def test_one_that_is_connected_and_has_not_answered_is_told(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(MetadataRequest, silent)
        cluster[1].always(InitProducerIdRequest, silent)
        tells_why_it_is_not_ready(start_client(cluster), f"{cluster[1].address} is connected, and has not answered Metadata")


def test_a_known_broker_that_is_silent_does_not_hold_up_what_another_would_tell(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        cluster.move("orders", 0, 2)
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        asked: list[int] = []

        def first_is_silent(exchange: Exchange) -> None:
            asked.append(exchange.broker.node_id)
            if len(asked) > 1:
                good(exchange)

        for node_id in (1, 2):
            cluster[node_id].always(MetadataRequest, first_is_silent)
        cluster.create_topic("another", 1)
        with gevent.Timeout(PATIENCE):
            assert client.produce(Record("another", b"v")).get(PATIENCE).offset == 0
        assert set(asked[:2]) == {1, 2}


def test_the_error_is_a_produce_error_so_that_code_which_catches_those_goes_on_working() -> None:
    assert issubclass(BrokersUnreachable, ProduceError)
