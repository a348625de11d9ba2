"""Topics that the cluster does not have: when that is believed, for how long, and whether they may be made."""

from __future__ import annotations

from time import monotonic
from typing import Any

import gevent
import pytest

from klife import Record, UnknownTopic
from klife.actors.metadata.interest import TopicInterest
from klife.protocol.error_codes import ErrorCode
from tests.actors.test_asking_metadata import asked, created
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.waiting import wait_until


def test_what_the_cluster_says_for_unknown_topic_ms_is_believed_and_remembered_for_as_long(start_client: Any) -> None:
    with ScriptedCluster(topics={"kept": 1}) as cluster:
        client = start_client(cluster, unknown_topic_ms=300)  # and max_block_ms 60 s
        client.produce(Record("kept", b"")).get(PATIENCE)
        with pytest.raises(
            UnknownTopic, match="'misspelt' was not found within unknown_topic_ms: UNKNOWN_TOPIC_OR_PARTITION"
        ) as raised:
            client.produce(Record("misspelt", b""))
        assert raised.value.retriable
        before = len(asked(cluster))
        for call in (lambda: client.produce(Record("misspelt", b"")), lambda: client.partitions("misspelt")):
            with pytest.raises(UnknownTopic, match="was not found a moment ago, which is remembered for unknown_topic_ms"):
                call()
        [result] = client.produce_batch([Record("misspelt", b"")]).get(PATIENCE)
        assert isinstance(result.error, UnknownTopic)
        assert len(asked(cluster)) == before  # nobody was asked
        cluster.create_topic("misspelt", 1)

        def is_found() -> bool:
            try:
                return client.produce(Record("misspelt", b"")).get(PATIENCE).offset == 0
            except UnknownTopic:
                return False

        wait_until(is_found, PATIENCE)


def test_a_batch_of_many_unknown_topics_waits_once(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, unknown_topic_ms=1000)
        client.wait_ready(PATIENCE)
        began = monotonic()
        results = client.produce_batch([Record(f"unknown{number}", b"") for number in range(40)]).get(PATIENCE)
        assert {type(result.error) for result in results} == {UnknownTopic}
        assert monotonic() - began < 20  # and not 40


def test_a_topic_that_is_being_made_is_waited_for_though_the_cluster_does_not_know_it_at_first(start_client: Any) -> None:
    with ScriptedCluster(topics={"kept": 1}) as cluster:
        client = start_client(cluster, unknown_topic_ms=60_000)
        producing = gevent.spawn(client.produce, Record("late", b""))
        wait_until(lambda: ("late",) in created(cluster), PATIENCE)
        cluster.create_topic("late", 1)
        assert producing.get(timeout=PATIENCE).get(PATIENCE).offset == 0


def test_without_allow_auto_create_topics_no_request_may_create_one(start_client: Any) -> None:
    with ScriptedCluster(topics={"kept": 1}, auto_create=1) as cluster:
        client = start_client(cluster, unknown_topic_ms=0, allow_auto_create_topics=False, topics=[{"name": "configured"}])
        with pytest.raises(UnknownTopic, match="create the topic, or correct its name; allow_auto_create_topics is off"):
            client.produce(Record("missing", b""))
        assert created(cluster) == set()
        assert set(cluster.topics) == {"kept"}


def test_a_configured_topic_s_first_record_after_wait_ready_asks_nobody_about_it(start_client: Any) -> None:
    with ScriptedCluster(topics={"orders": 3, "other": 1}) as cluster:
        client = start_client(cluster, topics=[{"name": "orders"}])
        client.wait_ready(PATIENCE)
        before = len(asked(cluster))
        delivery = client.produce(Record("orders", b""))
        assert len(asked(cluster)) == before
        assert delivery.get(PATIENCE).offset == 0
        client.produce(Record("other", b"")).get(PATIENCE)
        assert len(asked(cluster)) == before + 1  # at once, and once


class Interest:
    """Whether the topic "t" is believed to be missing, after answers at given times."""

    def __init__(self, **options: Any) -> None:
        self.interest = TopicInterest((), 300.0, **options)
        self.interest.begin("t", creates=True, partitions=1, now=0.0)

    def answer(self, now: float, code: int = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) -> bool:
        question = self.interest.question({}, lambda _name: False, now)
        self.interest.answered(question, {}, lambda _name: False, now, {"t": code})
        return self.interest.is_believed_missing("t", 5.0)


def test_it_is_believed_after_an_unbroken_row_of_answers_that_do_not_know_it() -> None:
    interest = Interest()
    assert not any(interest.answer(now) for now in (1.0, 1.5, 3.0, 5.7))
    assert interest.answer(6.0)


def test_an_answer_of_another_kind_begins_the_row_anew() -> None:
    interest = Interest()
    assert not any(interest.answer(now) for now in (1.0, 2.0))
    assert not interest.answer(5.0, ErrorCode.LEADER_NOT_AVAILABLE)
    assert not any(interest.answer(now) for now in (6.0, 7.0, 10.7))
    assert interest.answer(11.0)


@pytest.mark.parametrize(("creates", "questions"), [(True, 2), (False, 1)])
def test_it_is_not_believed_before_the_question_that_may_create_it(creates: bool, questions: int) -> None:
    interest = Interest(creates=creates)
    for number in range(questions):
        assert interest.interest.is_believed_missing("t", 0.0) is False
        interest.answer(float(number))
    assert interest.interest.is_believed_missing("t", 0.0)
