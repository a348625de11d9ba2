"""Reaching a broker, and what happens when that fails: through `Client.start`, against scripted brokers."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest

from klife import Client, NotReady, ProduceError, Record, RecordTooLarge
from klife.actors import engines
from klife.protocol.apis.api_versions import ApiVersionsRequest
from klife.protocol.apis.describe_configs import DescribeConfigsRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from tests.support.inside_client import broker_status, tells_why_it_is_not_ready
from tests.support.scripted_broker import (
    PATIENCE,
    ScriptedCluster,
    answer,
    cut,
    malformed,
    oversized,
    refuse,
    silent,
    unsupported_in_v0,
    wrong_correlation,
)
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until

ORDER = Record(topic="orders", value=b"v")


def test_a_refused_connection_is_named_with_its_address_and_error(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].stop()
        client = start_client(cluster)
        tells_why_it_is_not_ready(client, rf"{cluster[1].address}.*refused", 0.1)


def test_a_broker_that_is_advertised_by_no_name_is_told_in_words_alone(capfd: Any) -> None:
    with ScriptedCluster() as cluster:
        address, cluster.host = cluster[1].address, "kafka..example"
        with Client.start(address, metadata_max_age_ms=100, reconnect_backoff_max_ms=50) as client:
            delivery = client.produce(ORDER)
            wait_until(lambda: "nothing between two of its dots" in str(getattr(broker_status(client, 1), "last_error", "")))
            cluster.host = "127.0.0.1"
            assert delivery.get(PATIENCE).error is None
    assert "Traceback" not in capfd.readouterr().err


def test_a_client_started_without_brokers_is_ready_when_one_comes(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].stop()
        client = start_client(cluster)
        with pytest.raises(NotReady):
            client.wait_ready(0.05)
        cluster[1].listen()
        client.wait_ready(PATIENCE)


def test_when_one_bootstrap_address_is_dead_the_next_is_tried(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        cluster[1].stop()
        start_client(cluster).wait_ready(PATIENCE)


def test_a_broker_that_accepts_and_says_nothing_is_given_up_after_the_connect_timeout(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(ApiVersionsRequest, silent)
        client = start_client(cluster, connect_timeout_ms=50)
        tells_why_it_is_not_ready(client, r"the handshake was not through within 0\.05 s")
        cluster[1].always(ApiVersionsRequest, None)
        client.wait_ready(PATIENCE)


def test_a_broker_that_answers_unsupported_in_the_layout_of_v0_is_asked_again_with_v0(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(ApiVersionsRequest, unsupported_in_v0)
        client = start_client(cluster)
        client.wait_ready(PATIENCE)
        first, second = cluster[1].wait_for(ApiVersionsRequest, 2)
        assert (first.version, second.version) == (3, 0)
        assert first.connection == second.connection


@pytest.mark.parametrize("step", [malformed, oversized, wrong_correlation, cut])
def test_a_broken_handshake_is_tried_again_on_a_new_connection(start_client: Any, step: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(ApiVersionsRequest, step)
        start_client(cluster).wait_ready(PATIENCE)
        first, second = cluster[1].wait_for(ApiVersionsRequest, 2)
        assert first.connection != second.connection


@pytest.mark.parametrize("step", [malformed, oversized, wrong_correlation, cut])
def test_a_broken_metadata_answer_is_asked_for_again(start_client: Any, step: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(MetadataRequest, step)
        start_client(cluster).wait_ready(PATIENCE)


def test_once_the_broker_is_known_by_id_the_bootstrap_connection_is_closed(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        client.produce(ORDER).get(PATIENCE)
        states = {broker.node_id: broker.state for broker in client.status().brokers}
        assert states[1] == "ready"
        client.partitions("orders")
        assert cluster[1].connections == 2


def test_all_that_a_client_asks_of_a_broker_goes_over_one_connection(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 2}) as cluster:
        client = start_client(cluster, producers=[{"name": "first"}, {"name": "second", "batchers_count": 2}])
        client.produce(ORDER, producer="first").get(PATIENCE)  # the first record waits for metadata, from the bootstrap address
        wait_until(lambda: broker_status(client, None).state == "disconnected")
        before = cluster[1].connections
        for producer in ("first", "second"):
            for partition in (0, 1):
                client.produce(Record("orders", b"v", partition=partition), producer=producer).get(PATIENCE)
        cluster.create_topic("later", 1)
        client.partitions("later")
        cluster[1].script(ProduceRequest, refuse(10))
        with pytest.raises(RecordTooLarge):  # which asks for the topic's limit
            client.produce(ORDER, producer="first").get(PATIENCE)
        kinds = (ProduceRequest, MetadataRequest, InitProducerIdRequest, DescribeConfigsRequest)
        used = {kind: {exchange.connection for exchange in cluster[1].got(kind)} for kind in kinds}
        assert used[ProduceRequest] == used[DescribeConfigsRequest]
        assert len(used[ProduceRequest]) == 1
        assert cluster[1].connections == before == 2  # the other was the bootstrap address's
        assert broker_status(client, 1).connects == 1


def test_a_broker_that_moves_to_another_port_is_followed(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        cluster.move("orders", 0, 2)
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[2].stop()
        cluster[2].port = 0
        cluster[2].listen()
        assert client.produce(ORDER).get(PATIENCE).offset == 1


def test_a_broker_with_an_impossible_address_does_not_keep_others_from_working(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        cluster.move("orders", 0, 2)
        cluster[1].always(MetadataRequest, lambda exchange: _with_port(exchange, 1, 70_000))
        cluster[2].always(MetadataRequest, lambda exchange: _with_port(exchange, 1, 70_000))
        client = start_client(cluster)
        assert client.produce(ORDER).get(PATIENCE).offset == 0


def test_a_partition_led_from_an_impossible_address_says_so_when_it_fails(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(MetadataRequest, lambda exchange: _with_port(exchange, 1, 70_000))
        client = start_client(cluster, request_timeout_ms=100, delivery_timeout_ms=200, connect_timeout_ms=100)
        with pytest.raises(ProduceError, match="connecting failed"):
            client.produce(ORDER).get(PATIENCE)


def _with_port(exchange: Any, node_id: int, port: int) -> None:
    response = exchange.good_answer()
    for broker in response.brokers:
        if broker.node_id == node_id:
            broker.port = port
    exchange.send(response)


def test_a_producer_id_is_asked_for_until_there_is_one(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(InitProducerIdRequest, answer(InitProducerIdResponse(error_code=15, producer_id=-1, producer_epoch=-1)))
        start_client(cluster).wait_ready(PATIENCE)
        assert len(cluster[1].got(InitProducerIdRequest)) == 2


def test_without_permission_for_a_producer_id_records_fail_at_once_and_say_which(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(InitProducerIdRequest, answer(InitProducerIdResponse(error_code=31, producer_id=-1, producer_epoch=-1)))
        client = start_client(cluster)
        with pytest.raises(ProduceError, match="IdempotentWrite") as caught:
            client.produce(ORDER).get(PATIENCE)
        assert caught.value.error_code == 31
        assert not caught.value.possibly_persisted


def test_a_broker_without_topic_ids_is_sent_names(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster.topics["orders"].topic_id = bytes(16)
        cluster[1].versions[MetadataRequest] = (0, 9)
        client = start_client(cluster)
        assert client.produce(ORDER).get(PATIENCE).offset == 0
        (request,) = cluster[1].got(ProduceRequest)
        assert request.version == 12
        assert request.request.topic_data[0].name == "orders"


@pytest.mark.parametrize("version", [3, 7, 8, 9, 12, 13])
def test_the_highest_version_of_produce_that_both_know_is_used(start_client: Any, version: int) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].versions[ProduceRequest] = (0, version)
        client = start_client(cluster)
        assert client.produce(ORDER).get(PATIENCE).offset == 0
        assert cluster[1].got(ProduceRequest)[0].version == version


def test_a_batch_goes_again_in_an_older_version_when_its_broker_comes_back_as_an_older_one(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)

        def downgraded(_exchange: Any) -> None:
            cluster[1].versions[ProduceRequest] = (0, 8)
            cluster[1].cut_all()

        cluster[1].script(ProduceRequest, downgraded)
        assert client.produce(ORDER).get(PATIENCE).offset == 1
        assert [request.version for request in cluster[1].got(ProduceRequest)] == [13, 13, 8]


def test_a_batch_that_may_be_written_and_can_not_be_sent_again_says_both(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)

        def replaced(_exchange: Any) -> None:
            cluster[1].versions[ProduceRequest] = (90, 99)
            cluster[1].cut_all()

        cluster[1].script(ProduceRequest, replaced)
        with pytest.raises(ProduceError, match=r"may be in the log, and can not be sent again: .*90 to 99") as caught:
            client.produce(ORDER).get(PATIENCE)
        assert caught.value.possibly_persisted


def test_a_broker_too_new_for_us_fails_records_at_once_with_both_ranges(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].versions[ProduceRequest] = (90, 99)
        client = start_client(cluster)
        with pytest.raises(ProduceError, match="90 to 99") as caught:
            client.produce(ORDER).get(PATIENCE)
        assert not caught.value.possibly_persisted


def test_stopping_while_connecting_is_served_at_once(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(ApiVersionsRequest, silent)
        client = start_client(cluster)
        cluster[1].wait_for(ApiVersionsRequest)
        began = time.monotonic()
        client.stop(timeout=60)
        assert time.monotonic() - began < PATIENCE


def test_a_connection_that_lasted_starts_the_backoff_anew_though_nothing_came_back_with_acks_0(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster, told_logs(folds=False) as logs:
        cluster.move("orders", 0, 2)
        client = start_client(cluster, acks=0, reconnect_backoff_max_ms=20)

        for _ in range(4):
            client.produce(ORDER).get(PATIENCE)
            gevent.sleep(0.05)  # longer than the longest backoff
            broker = engines.find(client.name).metadata.broker(2)  # type: ignore[union-attr]
            broker.fail("reading failed: reset by peer")
            wait_until(lambda broker=broker: broker.transport is None)
        assert [log["attempt"] for log in logs if log["event"] == "connection_failed" and log["broker"] == 2] == [1, 1, 1, 1]
