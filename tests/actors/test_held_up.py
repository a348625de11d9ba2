"""What the error of a record says that was not delivered in time: what was in its way, and what helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from klife import Client, DeliveryTimeout, Record
from klife.actors.metadata.snapshot import ClusterSnapshot
from klife.actors.producer.batch import Batch
from klife.actors.producer.partition import Refused
from klife.actors.producer.policy import rule_for
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.error_codes import ErrorCode as Code
from klife.protocol.error_codes import describe
from tests.support.inside_client import let_deadlines_pass
from tests.support.producer_parts import NO_LEADER, Parts
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, cut, refuse, silent, throttle
from tests.support.waiting import wait_until

StartClient = Callable[..., Client]
ORDER = Record("orders", b"v")


def expired(parts: Parts, batch: Batch) -> DeliveryTimeout:
    parts.producer.expire(batch.created + 10)
    error = batch.result(0).error
    assert isinstance(error, DeliveryTimeout)
    return error


def timed_out(client: Client, delivery: Any) -> DeliveryTimeout:
    let_deadlines_pass(client)
    error = delivery.exception(PATIENCE)
    assert isinstance(error, DeliveryTimeout)
    return error


def pinned(code: int) -> str:
    return f"{describe(code)}; {rule_for(code).advice}".rstrip("; ")


# no leader


@pytest.mark.parametrize(
    "code", [Code.LEADER_NOT_AVAILABLE, Code.LISTENER_NOT_FOUND, Code.KAFKA_STORAGE_ERROR, Code.REPLICA_NOT_AVAILABLE]
)
def test_a_partition_without_leader_is_told_with_the_code_that_the_cluster_gives(start_client: StartClient, code: Code) -> None:
    def without_leader(exchange: Any) -> None:
        response = exchange.good_answer()
        for topic in response.topics:
            for partition in topic.partitions:
                partition.error_code, partition.leader_id = code, -1
        exchange.send(response)

    with ScriptedCluster() as cluster:
        cluster[1].always(MetadataRequest, without_leader)
        client = start_client(cluster)
        error = timed_out(client, client.produce(ORDER))
        assert error.error_code == code
        assert f"the cluster answers {pinned(code)}. They were not written" in str(error)


def test_a_topic_that_is_gone_is_told_as_that(start_client: StartClient) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].always(ProduceRequest, refuse(Code.UNKNOWN_TOPIC_OR_PARTITION))
        topic = cluster.topics.pop("orders")
        delivery = client.produce(ORDER)
        wait_until(lambda: "orders" not in client.status().topics)
        error = timed_out(client, delivery)
        cluster.topics["orders"] = topic
        assert error.error_code == Code.UNKNOWN_TOPIC_OR_PARTITION
        assert pinned(Code.UNKNOWN_TOPIC_OR_PARTITION) in str(error)


def test_so_is_one_that_may_not_be_seen_any_more() -> None:
    parts = Parts(delivery_timeout=10.0)
    batch = parts.batch()
    parts.producer.routing.apply(ClusterSnapshot(topic_errors={"t": Code.TOPIC_AUTHORIZATION_FAILED}))
    error = expired(parts, batch)
    assert error.error_code == Code.TOPIC_AUTHORIZATION_FAILED
    assert "grant the client's principal Write on the topic" in str(error)


def test_without_any_code_no_leader_is_no_leader() -> None:
    parts = Parts([NO_LEADER], delivery_timeout=10.0)
    error = expired(parts, parts.batch())
    assert (error.error_code, error.retriable) == (Code.LEADER_NOT_AVAILABLE, True)
    assert "look at the brokers that hold its replicas" in str(error)


# no broker


def test_a_broker_that_nobody_answers_for_is_named_with_its_address_and_why(start_client: StartClient) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].stop()
        delivery = client.produce(ORDER)
        broker = next(broker for broker in client.status().brokers if broker.node_id == 1)
        wait_until(lambda: "refused" in str(next(each for each in client.status().brokers if each.node_id == 1).last_error))
        error = timed_out(client, delivery)
        assert f"broker 1 can not be reached ({broker.address}" in str(error)
        assert "Connection refused" in str(error)
        assert error.error_code is None


def test_an_advertised_address_that_never_worked_is_told_as_that() -> None:
    with ScriptedCluster() as cluster:
        bootstrap, cluster.host = cluster.bootstrap_servers, "127.0.0.2"  # where nobody listens
        with Client.start(bootstrap) as client:
            error = timed_out(client, client.produce(ORDER))
        assert f"broker 1 can not be reached (127.0.0.2:{cluster[1].port} " in str(error)
        assert "), and never was: check that it runs, and that this address, of its advertised.listeners, can be reached" in str(error)


def test_a_broker_that_hangs_up_on_each_request_is_told_as_that(start_client: StartClient) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, retry_backoff_ms=30_000, retry_backoff_max_ms=30_000)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].always(ProduceRequest, cut)
        delivery = client.produce(ORDER)
        wait_until(lambda: client.status().producers[0].retries == 1 and client.status().brokers[-1].state == "ready")
        error = timed_out(client, delivery)
        assert f"the last attempt failed: broker 1 ({cluster[1].address}): the broker closed the connection" in str(error)
        assert (error.error_code, error.possibly_persisted) == (None, True)


def test_a_quota_is_no_broker_that_can_not_be_reached(start_client: StartClient) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        cluster[1].script(ProduceRequest, throttle(60_000))
        client.produce(ORDER).get(PATIENCE)
        error = timed_out(client, client.produce(ORDER))
        assert "broker 1 throttles this client: a quota is exceeded" in str(error)


# a refusal, and what came after it


def refused_parts() -> tuple[Parts, Batch]:
    parts = Parts(delivery_timeout=10.0)
    batch = parts.sent()
    parts.refused(batch, Code.NOT_ENOUGH_REPLICAS)
    parts.of(batch).refused = Refused(Code.NOT_ENOUGH_REPLICAS, "two are away")
    return parts, batch


NOT_ENOUGH = (
    "the last refusal was NOT_ENOUGH_REPLICAS (19): fewer replicas are in sync than min.insync.replicas; nothing was written "
    "(two are away); bring brokers back, or lower the topic's min.insync.replicas"
)


def test_batches_behind_a_refused_one_are_told_of_it_too() -> None:
    parts, refused = refused_parts()
    behind = parts.batch()
    for batch in (refused, behind):
        error = expired(parts, batch)
        assert error.error_code == Code.NOT_ENOUGH_REPLICAS
        assert f"(10000 ms): {NOT_ENOUGH}. They were not written, and may be sent again." in str(error)


def test_what_is_in_the_way_now_comes_first_and_the_refusal_after_it() -> None:
    parts, batch = refused_parts()
    parts.brokers[1].is_ready = False
    error = expired(parts, batch)
    assert f"broker 1 can not be reached (model broker 1); {NOT_ENOUGH}" in str(error)
    assert error.error_code == Code.NOT_ENOUGH_REPLICAS


def test_so_is_an_answer_that_is_due() -> None:
    parts, batch = refused_parts()
    parts.send(batch)
    assert f"the broker has not answered yet; {NOT_ENOUGH}. They may be in the log" in str(expired(parts, batch))


def test_once_something_is_written_the_refusal_is_forgotten() -> None:
    parts, batch = refused_parts()
    parts.send(batch)
    parts.delivered(batch)
    error = expired(parts, parts.batch())
    assert error.error_code is None
    assert "NOT_ENOUGH" not in str(error)


def test_a_batch_behind_one_without_an_answer_says_so() -> None:
    parts = Parts(delivery_timeout=10.0, max_in_flight=1)
    parts.sent()
    assert "broker 1 has not answered to the partition's records before these yet" in str(expired(parts, parts.batch()))


def test_who_stops_meanwhile_is_told_of_the_refusal(start_client: StartClient) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, retry_backoff_ms=30_000, retry_backoff_max_ms=30_000)  # none is in flight then
        cluster[1].always(ProduceRequest, refuse(Code.NOT_ENOUGH_REPLICAS))
        delivery = client.produce(ORDER)
        wait_until(lambda: client.status().producers[0].retries > 0)
        client.stop(timeout=0)
        error = delivery.exception(PATIENCE)
        assert error is not None
        assert error.error_code == Code.NOT_ENOUGH_REPLICAS
        assert f"were not written (the last refusal was {pinned(Code.NOT_ENOUGH_REPLICAS)})" in str(error)


def test_one_that_never_answers_at_all_has_refused_nothing(start_client: StartClient) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        cluster[1].always(ProduceRequest, silent)
        delivery = client.produce(ORDER)
        cluster[1].wait_for(ProduceRequest)
        error = timed_out(client, delivery)
        assert (error.error_code, error.possibly_persisted) == (None, True)
        assert "the broker has not answered yet." in str(error)
