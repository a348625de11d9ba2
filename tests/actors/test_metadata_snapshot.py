"""The rules by which a metadata answer becomes the next snapshot."""

from __future__ import annotations

from typing import Any

import pytest

from klife.actors.metadata.snapshot import ANSWERS_BELIEVED, NO_LEADER, BrokerInfo, ClusterSnapshot, updated, with_leader, with_refusal
from klife.actors.network.backoff import backoff
from klife.protocol.apis.metadata import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

ID, OTHER_ID, NO_ID = b"\1" * 16, b"\2" * 16, bytes(16)


def response(*topics: MetadataResponseTopic, brokers: tuple[int, ...] = (1, 2)) -> MetadataResponse:
    return MetadataResponse(
        brokers=[MetadataResponseBroker(node_id=node, host=f"host{node}", port=9092) for node in brokers],
        cluster_id="c",
        controller_id=1,
        topics=list(topics),
    )


def topic(name: str, *leaders: tuple[int, int], topic_id: bytes = ID, error_code: int = 0) -> MetadataResponseTopic:
    return MetadataResponseTopic(
        error_code=error_code,
        name=name,
        topic_id=topic_id,
        partitions=[
            MetadataResponsePartition(
                error_code=0, partition_index=i, leader_id=leader, leader_epoch=epoch, replica_nodes=[1], isr_nodes=[1]
            )
            for i, (leader, epoch) in enumerate(leaders)
        ],
    )


def snapshot(*topics: MetadataResponseTopic, old: ClusterSnapshot | None = None, asked: Any = None) -> ClusterSnapshot:
    return updated(old or ClusterSnapshot(), response(*topics), asked)


def test_an_answer_becomes_brokers_and_leaders() -> None:
    seen = snapshot(topic("t", (1, 5), (2, 6), (NO_LEADER, 7)))
    assert seen.brokers[2] == BrokerInfo(2, "host2", 9092)
    info = seen.topics["t"]
    assert (info.leaders, info.leader_epochs, info.partition_count) == ((1, 2, -1), (5, 6, 7), 3)
    assert info.available == (0, 1)


def test_a_leader_epoch_never_goes_back() -> None:
    old = snapshot(topic("t", (1, 5), (1, 5)))
    info = snapshot(topic("t", (2, 4), (2, 6)), old=old).topics["t"]
    assert (info.leaders, info.leader_epochs) == ((1, 2), (5, 6))


@pytest.mark.parametrize(("before", "after"), [(NO_ID, ID), (ID, NO_ID), (NO_ID, NO_ID)])
def test_nor_does_it_when_one_of_the_answers_has_no_topic_ids(before: bytes, after: bytes) -> None:
    old = snapshot(topic("t", (1, 5), topic_id=before))
    assert snapshot(topic("t", (2, 4), topic_id=after), old=old).topics["t"].leaders == (1,)


def test_a_topic_made_anew_starts_over() -> None:
    old = snapshot(topic("t", (1, 5)))
    info = snapshot(topic("t", (2, 0), topic_id=OTHER_ID), old=old).topics["t"]
    assert (info.leaders, info.leader_epochs, info.topic_id) == ((2,), (0,), OTHER_ID)


# without topic ids (Kafka 2.4 to 2.7)


def refused_and_answered(old: ClusterSnapshot, *leaders: tuple[int, int], times: int) -> ClusterSnapshot:
    """`times` refusals of partition 0's leader, each followed by this answer."""
    for _ in range(times):
        old = with_refusal(old, "t", 0, old.topics["t"].leaders[0])
        old = snapshot(topic("t", *leaders, topic_id=NO_ID), old=old, asked=["t"])
    return old


def test_a_leader_that_refuses_is_given_up_for_one_of_an_earlier_epoch_after_a_few_answers() -> None:
    old = snapshot(topic("t", (1, 5), (1, 9), topic_id=NO_ID))
    almost = refused_and_answered(old, (2, 0), (2, 0), times=ANSWERS_BELIEVED - 1)
    assert (almost.topics["t"].leaders, almost.topics["t"].leader_epochs) == ((1, 1), (5, 9))
    assert almost.topics["t"] is old.topics["t"]
    info = refused_and_answered(almost, (2, 0), (2, 0), times=1).topics["t"]
    assert (info.leaders, info.leader_epochs) == ((2, 2), (0, 0))  # the other partition's too: it is another topic
    assert info.generation != old.topics["t"].generation


def test_answers_alone_do_not_take_an_epoch_back() -> None:
    old = with_refusal(snapshot(topic("t", (1, 5), topic_id=NO_ID)), "t", 0, 1)
    for _ in range(20):
        old = snapshot(topic("t", (2, 4), topic_id=NO_ID), old=old)
    assert old.topics["t"].leaders == (1,)


def test_an_answer_that_confirms_the_leader_ends_the_count() -> None:
    old = snapshot(topic("t", (1, 5), topic_id=NO_ID))
    for _ in range(5):
        old = refused_and_answered(old, (2, 4), times=ANSWERS_BELIEVED - 1)
        old = snapshot(topic("t", (1, 5), topic_id=NO_ID), old=old)
    assert old.topics["t"].leaders == (1,)


def test_a_leader_that_left_the_cluster_can_not_refuse_and_is_given_up_as_well() -> None:
    old = snapshot(topic("t", (7, 5), topic_id=NO_ID))
    for _ in range(ANSWERS_BELIEVED):
        assert old.topics["t"].leaders == (7,)
        old = snapshot(topic("t", (2, 0), topic_id=NO_ID), old=old)
    assert old.topics["t"].leaders == (2,)


def test_no_epoch_is_none_that_went_back() -> None:
    old = snapshot(topic("t", (1, 5), topic_id=NO_ID))
    info = snapshot(topic("t", (2, -1), topic_id=NO_ID), old=with_refusal(old, "t", 0, 1)).topics["t"]
    assert (info.leaders, info.generation) == ((2,), old.topics["t"].generation)


@pytest.mark.parametrize(
    ("name", "partition", "node_id", "topic_id"),
    [("t", 0, 1, ID), ("t", 0, 2, NO_ID), ("t", 1, 1, NO_ID), ("u", 0, 1, NO_ID)],
    ids=["its id tells", "not the leader", "no such partition", "no such topic"],
)
def test_a_refusal_that_says_nothing_changes_nothing(name: str, partition: int, node_id: int, topic_id: bytes) -> None:
    old = snapshot(topic("t", (1, 5), topic_id=topic_id))
    assert with_refusal(old, name, partition, node_id) is old


def test_a_topic_keeps_the_id_it_has_when_a_broker_answers_that_knows_of_none() -> None:
    old = snapshot(topic("t", (1, 5), (1, 5)))
    lagging = snapshot(topic("t", (1, 5), topic_id=NO_ID), old=old)
    assert lagging.topics["t"] is old.topics["t"]
    assert snapshot(topic("t", (2, 0), topic_id=OTHER_ID), old=lagging).topics["t"].leaders == (2,)


def test_a_topic_gets_no_id_while_its_epochs_contradict_what_is_known() -> None:
    old = snapshot(topic("t", (1, 5), topic_id=NO_ID))
    upgraded = snapshot(topic("t", (1, 5)), old=old).topics["t"]
    assert (upgraded.topic_id, upgraded.generation) == (ID, old.topics["t"].generation)
    for _ in range(ANSWERS_BELIEVED):
        assert old.topics["t"].topic_id == NO_ID
        old = snapshot(topic("t", (2, 0)), old=with_refusal(old, "t", 0, 1))
    assert (old.topics["t"].leaders, old.topics["t"].topic_id) == ((2,), ID)


def test_fewer_partitions_without_an_id_are_another_topic_s() -> None:
    old = snapshot(topic("t", (1, 5), (2, 6), topic_id=NO_ID))
    info = snapshot(topic("t", (1, 5), topic_id=NO_ID), old=old).topics["t"]
    assert info.partition_count == 1
    assert info.generation != old.topics["t"].generation


def test_a_topic_never_has_fewer_partitions_than_before_unless_it_was_made_anew() -> None:
    old = snapshot(topic("t", (1, 5), (2, 6), (1, 7)))
    lagging = snapshot(topic("t", (2, 8)), old=old).topics["t"]
    assert (lagging.leaders, lagging.leader_epochs) == ((2, 2, 1), (8, 6, 7))
    assert len(lagging.replicas) == len(lagging.isr) == 3
    assert snapshot(topic("t", (1, 5)), old=old).topics["t"] is old.topics["t"]
    assert snapshot(topic("t", (1, 0), topic_id=OTHER_ID), old=old).topics["t"].partition_count == 1


def test_a_broker_without_epochs_is_believed() -> None:
    old = snapshot(topic("t", (1, 5)))
    assert snapshot(topic("t", (2, -1)), old=old).topics["t"].leaders == (2,)


def test_what_did_not_change_keeps_its_object() -> None:
    old = snapshot(topic("same", (1, 5)), topic("other", (1, 5)))
    new = snapshot(topic("same", (1, 5)), topic("other", (2, 6)), old=old)
    assert new.topics["same"] is old.topics["same"]
    assert new.topics["other"] is not old.topics["other"]


def test_a_topic_asked_for_without_an_answer_is_gone_and_one_not_asked_for_stays() -> None:
    old = snapshot(topic("asked", (1, 5)), topic("not-asked", (1, 5)))
    new = snapshot(old=old, asked=["asked"])
    assert set(new.topics) == {"not-asked"}


def test_a_topic_the_cluster_refuses_is_gone_and_its_code_is_kept_until_it_has_an_answer() -> None:
    old = snapshot(topic("t", (1, 5)))
    refused = snapshot(topic("t", error_code=3), old=old)
    assert ("t" in refused.topics, refused.topic_errors["t"]) == (False, 3)
    back = snapshot(topic("t", (1, 6)), old=refused, asked=["t"])
    assert ("t" in back.topics, "t" in back.topic_errors) == (True, False)


def test_a_topic_whose_leaders_are_being_elected_is_not_gone() -> None:
    old = snapshot(topic("t", (1, 5)))
    assert snapshot(topic("t", error_code=5), old=old).topics["t"] is old.topics["t"]


# hints (KIP-951)


def test_a_hint_moves_one_partition_and_may_bring_the_broker_s_address() -> None:
    old = snapshot(topic("t", (1, 5), (1, 5)))
    new = with_leader(old, "t", ID, 1, 9, 6, BrokerInfo(9, "new", 9092))
    assert (new.topics["t"].leaders, new.topics["t"].leader_epochs) == ((1, 9), (5, 6))
    assert new.brokers[9].host == "new"
    assert old.topics["t"].leaders == (1, 1)


@pytest.mark.parametrize(
    ("name", "partition", "leader", "epoch"),
    [("t", 0, 2, 5), ("t", 0, 2, 4), ("t", 0, -1, 6), ("t", 7, 2, 6), ("unknown", 0, 2, 6), ("t", 0, 77, 6)],
    ids=["same epoch", "old epoch", "no leader", "no such partition", "no such topic", "a broker nobody knows"],
)
def test_a_hint_that_is_no_news_or_makes_no_sense_changes_nothing(name: str, partition: int, leader: int, epoch: int) -> None:
    old = snapshot(topic("t", (1, 5)))
    assert with_leader(old, name, ID, partition, leader, epoch, None) is old


def test_a_late_hint_about_a_topic_that_was_made_anew_changes_nothing() -> None:
    old = snapshot(topic("t", (1, 0), (1, 0), topic_id=OTHER_ID))
    assert with_leader(old, "t", ID, 0, 1, 5, None) is old
    assert with_leader(old, "t", NO_ID, 0, 1, 5, None).topics["t"].leader_epochs == (5, 0)  # of a version without topic ids


# backoff (KIP-580)


def test_a_backoff_doubles_up_to_its_limit() -> None:
    assert [backoff(attempt, 0.1, 1.0, 0.5) for attempt in (1, 2, 3, 4, 5, 6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_a_backoff_varies_by_a_fifth_either_way() -> None:
    assert backoff(1, 1.0, 10.0, 0.0) == pytest.approx(0.8)
    assert backoff(1, 1.0, 10.0, 1.0) == pytest.approx(1.2)


def test_a_backoff_after_very_many_attempts_is_still_a_number() -> None:
    assert backoff(10_000, 0.1, 1.0, 0.5) == pytest.approx(1.0)
