"""`Deadlines`: what expires, when, and what it is told."""

from __future__ import annotations

import pytest

from klife import DeliveryTimeout, Record
from klife.actors.producer.deadlines import EXPIRED_A_TURN
from klife.actors.settings import NEVER
from tests.support.producer_parts import NO_LEADER, Parts


def test_a_batch_that_waits_at_its_deadline_failed_and_one_in_flight_is_possibly_persisted() -> None:
    parts = Parts(delivery_timeout=10.0)
    in_flight, queued = parts.sent(), parts.batch()
    parts.producer.expire(queued.created + 10)
    for batch, unknown in ((in_flight, True), (queued, False)):
        error = batch.result(0).error
        assert isinstance(error, DeliveryTimeout)
        assert error.possibly_persisted is unknown
        assert error.retriable
    assert parts.producer.pool.used == 0


def test_one_that_was_once_in_flight_without_an_answer_is_possibly_persisted() -> None:
    parts = Parts(delivery_timeout=10.0)
    batch = parts.sent()
    batch.fate_unknown = True
    parts.put_back(batch)
    parts.producer.expire(batch.created + 10)
    assert batch.result(0).error.possibly_persisted  # type: ignore[union-attr]


def test_the_clock_names_the_next_deadline() -> None:
    parts = Parts(delivery_timeout=10.0)
    assert parts.look(0.0) is None
    first, second = parts.batch(), parts.batch()
    second.created = first.created + 3
    assert parts.look(first.created) == first.created + 10
    assert parts.look(first.created + 10) == second.created + 10
    assert parts.look(second.created + 10) is None


def test_thousands_of_batches_do_not_expire_in_one_turn_of_the_hub() -> None:
    parts = Parts([1] * 3_000, delivery_timeout=10.0)
    batches = [parts.topic.append(Record("t", b"v", partition=number))._batch for number in range(3_000)]
    now = batches[-1].created + 10
    turns = 0
    while parts.producer.expire(now):
        turns += 1
        assert sum(batch.is_set for batch in batches) == turns * EXPIRED_A_TURN
    assert all(batch.is_set for batch in batches)
    assert turns == 30


def test_an_open_batch_that_can_not_leave_is_closed_after_a_second() -> None:
    parts = Parts([NO_LEADER], delivery_timeout=10.0)
    batch = parts.topic.append(Record("t", b"1", partition=0))._batch
    due = parts.look(batch.created)
    assert due is not None
    assert due <= batch.created + 1
    parts.look(batch.created + 1)
    assert parts.topic.append(Record("t", b"2", partition=0))._batch is not batch


def test_a_batch_opened_while_the_clock_is_set_for_a_far_deadline_wakes_it() -> None:
    parts = Parts([1, 1], delivery_timeout=60.0)
    first = parts.sent()
    due = parts.look(first.created)
    assert due is not None
    parts.producer.deadlines.due = first.created + 60.0
    parts.bell.rung()
    parts.topic.append(Record("t", b"v", partition=1))
    assert parts.bell.rung()


def test_pieces_stand_on_the_clock_where_their_batch_stood() -> None:
    parts = Parts([1] * 3)
    batches = [parts.sent(2, partition=partition) for partition in range(3)]
    parts.refused(batches[1], 10)
    pieces = list(parts.partition(1).pending)
    assert list(parts.producer.deadlines.pending) == [batches[0], *pieces, batches[2]]


@pytest.mark.parametrize(
    ("leaders", "setup", "why"),
    [
        ([NO_LEADER], lambda parts: None, "the partition has no leader"),
        ([1], lambda parts: setattr(parts.producer.identities, "current", None), "no producer id"),
        ([1], lambda parts: setattr(parts.brokers[1], "is_ready", False), "broker 1 can not be reached"),
        ([1], lambda parts: None, "broker 1 had 0 requests to answer first"),
    ],
)
def test_a_deadline_s_error_says_what_it_was_waiting_for(leaders: list[int], setup: object, why: str) -> None:
    parts = Parts(leaders, delivery_timeout=10.0)
    batch = parts.batch()
    setup(parts)  # type: ignore[operator]
    parts.producer.expire(batch.created + 10)
    assert why in str(batch.result(0).error)


def test_a_deadline_s_error_tells_no_contents() -> None:
    parts = Parts(delivery_timeout=10.0)
    batch = parts.topic.append(Record("t", b"secret value", key=b"secret key", partition=0))._batch
    parts.producer.expire(batch.created + 10)
    assert "secret" not in str(batch.result(0).error)


@pytest.mark.parametrize("leader", [1, NO_LEADER])
def test_what_has_expired_is_forgotten_though_its_broker_stays_away(leader: int) -> None:
    # Else a client whose brokers are away for hours would keep all that it was given meanwhile.
    parts = Parts([leader], delivery_timeout=10.0)
    batches = [parts.batch() for _ in range(5)]
    parts.producer.expire(batches[-1].created + 10)
    assert all(batch.is_set for batch in batches)
    assert not parts.partition().pending


def test_what_is_in_flight_is_left_for_its_answer_after_a_hub_that_stood_still_and_what_was_never_sent_is_not() -> None:
    parts = Parts(delivery_timeout=10.0)
    in_flight, queued = parts.sent(), parts.batch()
    late = queued.created + 10
    assert parts.producer.catch_up(late)
    assert (in_flight.is_set, queued.is_set) == (False, True)
    parts.delivered(in_flight)
    assert not parts.producer.catch_up(late)
    assert in_flight.result(0).error is None


def test_who_is_told_of_each_look_is_told_of_one_that_was_interrupted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts()
    parts.batch()
    timer = parts.producer.deadline_timer
    parts.bell.rung()

    def interrupted(_now: float, _answers_may_come: bool) -> bool:
        raise SystemExit

    monkeypatch.setattr(timer, "_expire", interrupted)
    with pytest.raises(SystemExit):
        timer._look()
    assert parts.bell.rung()
    assert parts.producer.deadlines.due < NEVER
    timer.stop()
