"""What becomes of a record when its broker refuses, goes silent, breaks off or moves: against scripted
brokers.
"""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import DeliveryTimeout, ProduceError, Record, RecordTooLarge
from klife.actors import engines
from klife.protocol.apis.describe_configs import DescribeConfigsRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.apis.metadata import MetadataRequest
from klife.protocol.apis.produce import LeaderIdAndEpoch, NodeEndpoint, ProduceRequest
from tests.support.inside_client import producer_of
from tests.support.producer_parts import sent_by_now
from tests.support.scripted_broker import (
    PATIENCE,
    Exchange,
    ScriptedCluster,
    after,
    answer,
    cut,
    done_then_cut,
    good,
    malformed,
    oversized,
    refuse,
    silent,
    stale,
    torn_after,
    wrong_correlation,
)
from tests.support.waiting import wait_until

ORDER = Record(topic="orders", value=b"v")


def numbers(exchanges: list[Exchange]) -> list[tuple[int, int, int, int]]:
    return [number for exchange in exchanges for number in exchange.numbers]


# the same again


@pytest.mark.parametrize("step", [cut, done_then_cut, torn_after(20), malformed, oversized, wrong_correlation])
def test_a_request_whose_answer_does_not_come_whole_is_repeated_under_the_same_number(start_client: Any, step: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(ProduceRequest, step)
        began = time.monotonic()
        result = start_client(cluster).produce(ORDER).get(PATIENCE)
        assert time.monotonic() - began < PATIENCE, "a closed socket is noticed at once, not by the request timeout"
        first, second = numbers(cluster[1].got(ProduceRequest))
        assert first == second
        assert (result.offset, cluster.log("orders")) == (0, [b"v"])


def test_an_answer_may_break_off_at_any_byte(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, reconnect_backoff_ms=1, reconnect_backoff_max_ms=1)
        lengths: list[int] = []

        def whole(exchange: Exchange) -> None:
            frame = exchange.frame(exchange.good_answer())
            lengths.append(len(frame))
            exchange.sock.sendall(frame)

        cluster[1].script(ProduceRequest, whole)
        client.produce(ORDER).get(PATIENCE)
        for size in range(lengths[0]):
            cluster[1].script(ProduceRequest, torn_after(size))
            assert client.produce(ORDER).get(PATIENCE).offset == size + 1
        assert len(cluster.log("orders")) == lengths[0] + 1


def test_a_silent_broker_is_disconnected_after_the_request_timeout_and_the_request_repeated(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(ProduceRequest, silent)
        client = start_client(cluster, request_timeout_ms=60)
        assert client.produce(ORDER).get(PATIENCE).offset == 0
        first, second = cluster[1].got(ProduceRequest)
        assert first.connection != second.connection
        assert first.numbers == second.numbers


def test_an_answer_that_is_delayed_for_too_long_is_harmless_when_it_comes(start_client: Any) -> None:
    held = Event()
    with ScriptedCluster() as cluster:
        cluster[1].script(ProduceRequest, after(held))
        client = start_client(cluster, request_timeout_ms=60)
        assert client.produce(ORDER).get(PATIENCE).offset == 0
        held.set()  # now the first attempt is handled, too
        assert client.produce(ORDER).get(PATIENCE).offset == 1
        assert cluster.log("orders") == [b"v", b"v"]


def test_a_record_a_silent_broker_may_have_is_possibly_persisted_at_its_deadline(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(ProduceRequest, silent)
        client = start_client(cluster, request_timeout_ms=50, delivery_timeout_ms=150)
        client.wait_ready(PATIENCE)
        began = time.monotonic()
        with pytest.raises(DeliveryTimeout, match="may be in the log") as caught:
            client.produce(ORDER).get(PATIENCE)
        assert 0.149 < time.monotonic() - began < PATIENCE
        assert caught.value.possibly_persisted
        assert caught.value.retriable


def test_a_record_that_was_never_sent_is_certainly_not_written_at_its_deadline(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        cluster.move("orders", 0, 2)
        cluster[2].stop()
        client = start_client(cluster, request_timeout_ms=50, delivery_timeout_ms=100)
        with pytest.raises(DeliveryTimeout, match="were not written") as caught:
            client.produce(ORDER).get(PATIENCE)
        assert not caught.value.possibly_persisted
        assert cluster[2].address in str(caught.value)


@pytest.mark.parametrize("code", [2, 7, 13, 15, 19, 20, 56, 60, 89])
def test_passing_trouble_is_repeated_under_the_same_number(start_client: Any, code: int) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(ProduceRequest, refuse(code))
        assert start_client(cluster).produce(ORDER).get(PATIENCE).offset == 0
        first, second = numbers(cluster[1].got(ProduceRequest))
        assert first == second


@pytest.mark.parametrize("code", [7, 20])
def test_a_refusal_of_something_written_all_the_same_does_not_write_it_twice(start_client: Any, code: int) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(ProduceRequest, refuse(code, write=True))
        assert start_client(cluster).produce(ORDER).get(PATIENCE).offset == 0
        assert cluster.log("orders") == [b"v"]


@pytest.mark.parametrize("code", [3, 6, 19])
@pytest.mark.parametrize("offset", [-1, 0])
def test_a_record_refused_with_an_offset_may_be_in_the_log_and_one_refused_without_is_not(
    start_client: Any, code: int, offset: int
) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].always(ProduceRequest, refuse(code, write=offset >= 0, base_offset=offset))
        client = start_client(cluster, request_timeout_ms=2_000, delivery_timeout_ms=2_000, retry_backoff_max_ms=5_000)
        client.wait_ready(PATIENCE)
        delivery = client.produce(ORDER)
        cluster[1].wait_for(ProduceRequest, 2)
        producer = producer_of(client)
        wait_until(lambda: not any(batch.in_flight for batch in producer.deadlines.pending), PATIENCE)
        producer.expire(time.monotonic() + 10)
        with pytest.raises(DeliveryTimeout) as caught:
            delivery.get(PATIENCE)
        assert caught.value.possibly_persisted is (offset >= 0)


def test_an_answer_that_leaves_a_partition_out_has_it_repeated(start_client: Any) -> None:
    def forgetful(exchange: Exchange) -> None:
        response = exchange.good_answer()
        response.responses = []
        exchange.send(response)

    with ScriptedCluster() as cluster:
        cluster[1].script(ProduceRequest, forgetful)
        assert start_client(cluster).produce(ORDER).get(PATIENCE).offset == 0
        assert cluster.log("orders") == [b"v"]


def test_an_answer_about_partitions_nobody_asked_for_is_harmless(start_client: Any) -> None:
    def talkative(exchange: Exchange) -> None:
        response = exchange.good_answer()
        answers = response.responses[0].partition_responses
        answers += [type(answers[0])(index=index, error_code=0, base_offset=99) for index in (-1, 7, 2**31 - 1)]
        exchange.send(response)

    with ScriptedCluster() as cluster:
        cluster[1].script(ProduceRequest, talkative)
        assert start_client(cluster).produce(ORDER).get(PATIENCE).offset == 0


def test_a_partition_in_trouble_does_not_delay_another_of_its_broker(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 2}) as cluster:
        cluster[1].always(ProduceRequest, refuse(19, partition=0))
        client = start_client(cluster, retry_backoff_ms=50, retry_backoff_max_ms=50)
        stuck = client.produce(Record("orders", b"a", partition=0))
        for number in range(20):
            assert client.produce(Record("orders", b"%d" % number, partition=1)).get(PATIENCE).offset == number
        assert not stuck.done()
        cluster[1].always(ProduceRequest, None)
        assert stuck.get(PATIENCE).offset == 0


@pytest.mark.parametrize("in_flight", [1, 5])
def test_order_holds_while_the_first_is_refused_again_and_again(start_client: Any, in_flight: int) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(ProduceRequest, *[refuse(19)] * 4, cut, refuse(7), done_then_cut)
        client = start_client(cluster, max_in_flight_requests=in_flight)
        client.wait_ready(PATIENCE)
        deliveries = []
        for number in range(30):
            deliveries.append(client.produce(Record("orders", b"%d" % number)))
            gevent.sleep(0)
        assert [delivery.get(PATIENCE).offset for delivery in deliveries] == list(range(30))
        assert cluster.log("orders") == [b"%d" % number for number in range(30)]


def test_without_idempotence_order_holds_too(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(ProduceRequest, refuse(19), cut, refuse(19))
        client = start_client(cluster, enable_idempotence=False)
        deliveries = []
        for number in range(10):
            deliveries.append(client.produce(Record("orders", b"%d" % number)))
            gevent.sleep(0)
        assert [delivery.get(PATIENCE).offset for delivery in deliveries] == list(range(10))
        assert {
            identity for exchange in cluster[1].got(ProduceRequest) for _, *identity in exchange.numbers for identity in identity
        } == {-1}


# leaders


def test_a_moved_leader_gets_the_same_number_and_everything_queued_behind_it(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = start_client(cluster)
        client.produce(Record("orders", b"0")).get(PATIENCE)
        held = Event()
        cluster[1].script(ProduceRequest, after(held))
        deliveries = [client.produce(Record("orders", b"1"))]
        cluster[1].wait_for(ProduceRequest, 2)
        deliveries.append(client.produce(Record("orders", b"2")))
        cluster.move("orders", 0, 2)
        held.set()
        assert [delivery.get(PATIENCE).offset for delivery in deliveries] == [1, 2]
        refused = cluster[1].got(ProduceRequest)[1]
        assert refused.numbers in [request.numbers for request in cluster[2].got(ProduceRequest)]
        assert cluster.log("orders") == [b"0", b"1", b"2"]


def test_a_leader_hint_is_followed_without_waiting_for_metadata(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        for broker in cluster.brokers.values():
            broker.always(MetadataRequest, silent)
        cluster.move("orders", 0, 2)
        hint = {
            "current_leader": LeaderIdAndEpoch(leader_id=2, leader_epoch=1),
            "node_endpoints": [NodeEndpoint(node_id=2, host="127.0.0.1", port=cluster[2].port)],
        }
        cluster[1].script(ProduceRequest, refuse(6, **hint))
        assert client.produce(ORDER).get(PATIENCE).offset == 1


def test_a_broker_with_old_metadata_does_not_send_records_back_to_the_old_leader(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        lagging = stale(cluster)
        cluster.move("orders", 0, 2)
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        for broker in cluster.brokers.values():
            broker.always(MetadataRequest, lagging)
        known = engines.find(client.name).metadata  # type: ignore[union-attr]
        looked = known.snapshots_seen
        cluster[2].script(ProduceRequest, refuse(6))  # which makes the client ask who leads
        assert client.produce(ORDER).get(PATIENCE).offset == 1
        wait_until(lambda: known.snapshots_seen > looked, PATIENCE)  # the answer changes nothing
        assert client.produce(ORDER).get(PATIENCE).offset == 2
        assert cluster[1].got(ProduceRequest) == []


def test_a_leader_that_was_deposed_for_its_broken_disk_is_left(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster.move("orders", 0, 2)
        cluster[1].always(ProduceRequest, refuse(56))  # it goes on saying that, and nothing of another leader
        assert client.produce(ORDER).get(PATIENCE).offset == 1


def test_a_dead_broker_s_partitions_go_to_their_new_leader(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].stop()
        cluster.move("orders", 0, 2)
        assert client.produce(ORDER).get(PATIENCE).offset == 1


def test_a_dead_leader_s_successor_is_found_however_long_the_pause_before_the_next_connection(start_client: Any) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = start_client(cluster, reconnect_backoff_ms=30_000, reconnect_backoff_max_ms=30_000)
        client.produce(ORDER).get(PATIENCE)
        cluster.create_topic("elsewhere", 1)
        cluster.move("elsewhere", 0, 2)
        client.produce(Record("elsewhere", b"v")).get(PATIENCE)  # a connection to ask on
        cluster[1].stop()
        delivery = client.produce(ORDER)
        asked = len(cluster[2].got(MetadataRequest))
        cluster[2].wait_for(MetadataRequest, asked + 3)  # the cluster has not noticed yet
        cluster.move("orders", 0, 2)
        assert delivery.get(PATIENCE).offset == 1


@pytest.mark.parametrize("trouble", ["dead", "leaderless"])
def test_a_leader_is_looked_for_some_times_a_second_and_not_when_no_record_waits(start_client: Any, trouble: str) -> None:
    with ScriptedCluster(brokers=2) as cluster:
        client = start_client(cluster, reconnect_backoff_ms=30_000, reconnect_backoff_max_ms=30_000)
        cluster.create_topic("elsewhere", 1)
        cluster.move("elsewhere", 0, 2)
        for topic in ("orders", "elsewhere"):
            client.produce(Record(topic, b"v")).get(PATIENCE)
        if trouble == "dead":
            cluster[1].stop()
        else:
            cluster.move("orders", 0, -1)
            cluster[1].script(ProduceRequest, refuse(6))
        delivery = client.produce(ORDER)
        gevent.sleep(0.2)

        def asked_in_a_second() -> int:
            before = sum(len(broker.got(MetadataRequest)) for broker in cluster.brokers.values())
            gevent.sleep(1)
            return sum(len(broker.got(MetadataRequest)) for broker in cluster.brokers.values()) - before

        assert 1 <= asked_in_a_second() <= 8
        cluster.move("orders", 0, 2)
        assert delivery.get(PATIENCE).offset == 1
        assert asked_in_a_second() <= 1


def test_a_partition_without_leader_is_delivered_soon_after_it_has_one(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        held = Event()
        cluster[1].script(ProduceRequest, after(held))
        delivery = client.produce(ORDER)
        cluster[1].wait_for(ProduceRequest, 2)
        cluster.move("orders", 0, -1)
        asked = len(cluster[1].got(MetadataRequest))
        held.set()
        cluster[1].wait_for(MetadataRequest, asked + 3)  # it keeps looking
        cluster.move("orders", 0, 1)
        assert delivery.get(PATIENCE).offset == 1


# numbers


def test_a_lost_sequence_begins_anew_under_the_next_epoch(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(ProduceRequest, refuse(45))
        assert client.produce(ORDER).get(PATIENCE).offset == 1
        _, (_, producer_id, epoch, sequence), renumbered = numbers(cluster[1].got(ProduceRequest))
        assert (epoch, sequence) == (0, 1)
        assert renumbered == (0, producer_id, 1, 0)


def test_a_lost_sequence_of_one_partition_moves_the_others_when_they_are_idle(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 2}) as cluster:
        client = start_client(cluster)
        for partition in (0, 1):
            client.produce(Record("orders", b"v", partition=partition)).get(PATIENCE)
        cluster[1].script(ProduceRequest, refuse(45))
        for partition in (0, 1):
            assert client.produce(Record("orders", b"v", partition=partition)).get(PATIENCE).offset == 1
        assert [(p, epoch, sequence) for p, _, epoch, sequence in numbers(cluster[1].got(ProduceRequest))[-2:]] == [
            (0, 1, 0),
            (1, 1, 0),
        ]


def test_after_the_last_epoch_of_a_producer_id_comes_another_id(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].script(InitProducerIdRequest, answer(InitProducerIdResponse(error_code=0, producer_id=9, producer_epoch=32766)))
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(ProduceRequest, refuse(45), good, refuse(45))
        assert [client.produce(ORDER).get(PATIENCE).offset for _ in range(2)] == [1, 2]
        assert [number[1:] for number in numbers(cluster[1].got(ProduceRequest))] == [
            (9, 32766, 0),
            (9, 32766, 1),
            (9, 32767, 0),
            (9, 32767, 1),
            (4001, 0, 0),
        ]


@pytest.mark.parametrize("code", [47, 90])
def test_a_refused_producer_id_is_replaced_and_the_record_renumbered(start_client: Any, code: int) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(ProduceRequest, refuse(code))
        assert client.produce(ORDER).get(PATIENCE).offset == 1
        _, refused, renumbered = numbers(cluster[1].got(ProduceRequest))
        assert renumbered == (0, refused[1] + 1, 0, 0)


def test_a_refused_producer_id_after_an_unanswered_attempt_ends_as_possibly_persisted_and_not_in_a_loop(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(ProduceRequest, done_then_cut, refuse(47))
        with pytest.raises(ProduceError, match="may be in the log") as caught:
            client.produce(ORDER).get(PATIENCE)
        assert caught.value.possibly_persisted
        assert client.produce(ORDER).get(PATIENCE).offset == 2


# too large, guilty, forbidden


def test_a_batch_that_is_too_large_arrives_in_parts_and_in_order(start_client: Any) -> None:
    with ScriptedCluster(record_limit=3) as cluster:
        client = start_client(cluster, linger_ms=5)
        deliveries = [client.produce(Record("orders", b"%d" % number)) for number in range(20)]
        assert [delivery.get(PATIENCE).offset for delivery in deliveries] == list(range(20))
        assert cluster.log("orders") == [b"%d" % number for number in range(20)]


def test_a_single_record_that_is_too_large_fails_with_its_size_and_its_neighbours_arrive(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        cluster[1].versions.pop(DescribeConfigsRequest)  # this broker does not tell the limit
        client = start_client(cluster)
        client.wait_ready(PATIENCE)
        cluster[1].script(ProduceRequest, refuse(10))
        with pytest.raises(RecordTooLarge, match=r"a record of orders-0 is \d+ bytes") as caught:
            client.produce(Record("orders", b"x" * 1000)).get(PATIENCE)
        assert caught.value.size > 1000
        assert not caught.value.possibly_persisted
        assert client.produce(ORDER).get(PATIENCE).offset == 0


def test_of_a_batch_with_guilty_records_only_those_fail(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, linger_ms=5)
        values = [b"0", b"guilty 1", b"2", b"guilty 3", b"4"]
        results = client.produce_batch([Record("orders", value) for value in values]).get(PATIENCE)
        assert [result.error_code for result in results] == [0, 87, 0, 87, 0]
        assert "breaks a rule" in str(results[1].error)
        assert cluster.log("orders") == [b"0", b"2", b"4"]
        assert [result.offset for result in results if result.error is None] == [0, 1, 2]
        assert client.produce(ORDER).get(PATIENCE).offset == 3


def test_a_missing_permission_fails_at_once_and_is_named(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster)
        cluster[1].script(ProduceRequest, refuse(29))
        with pytest.raises(ProduceError, match="Write on the topic") as caught:
            client.produce(ORDER).get(PATIENCE)
        assert (caught.value.error_code, caught.value.possibly_persisted, caught.value.retriable) == (29, False, False)
        assert len(cluster[1].got(ProduceRequest)) == 1
        assert client.produce(ORDER).get(PATIENCE).offset == 0


# acks


def test_with_acks_0_a_record_is_delivered_without_an_offset(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, acks=0, enable_idempotence=False)
        result = client.produce(ORDER).get(PATIENCE)
        assert (result.offset, result.error) == (None, None)
        cluster[1].wait_for(ProduceRequest)
        assert cluster[1].got(ProduceRequest)[0].request.acks == 0


def test_with_acks_1_the_leader_is_asked_for_its_word_only(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, acks=1, enable_idempotence=False)
        assert client.produce(ORDER).get(PATIENCE).offset == 0
        assert cluster[1].got(ProduceRequest)[0].request.acks == 1


# sharing requests


def test_greenlets_that_produce_together_share_one_request(start_client: Any, never_late: None) -> None:
    with ScriptedCluster(topics={"orders": 8}) as cluster:
        client = start_client(cluster)
        client.produce(ORDER).get(PATIENCE)
        before = len(cluster[1].got(ProduceRequest))
        greenlets = [
            gevent.spawn(lambda number=number: client.produce(Record("orders", b"v", partition=number % 8)).get(PATIENCE))
            for number in range(16)
        ]
        gevent.joinall(greenlets, raise_error=True)
        assert len(cluster[1].got(ProduceRequest)) == before + 1


def test_at_most_max_in_flight_requests_are_unanswered(start_client: Any) -> None:
    held = Event()
    with ScriptedCluster(topics={"orders": 10}) as cluster:
        client = start_client(cluster, max_in_flight_requests=3)
        for partition in range(10):
            client.produce(Record("orders", b"v", partition=partition)).get(PATIENCE)
        cluster[1].always(ProduceRequest, after(held))
        deliveries = []
        for partition in range(10):
            deliveries.append(client.produce(Record("orders", b"v", partition=partition)))
            sent_by_now()
        (broker,) = [broker for broker in client.status().brokers if broker.node_id == 1]
        assert broker.in_flight == 3
        held.set()
        for delivery in deliveries:
            delivery.get(PATIENCE)
