"""`Partition`: order, sequence numbers and renumbering, step by step (the model test searches; this one
explains).
"""

from __future__ import annotations

from types import MappingProxyType

import pytest

from klife import Record
from klife.actors.metadata.snapshot import ClusterSnapshot, TopicInfo
from klife.actors.producer.batch import Batch
from klife.actors.producer.identity import Identity
from klife.actors.producer.partition import REMEMBERED_SECONDS
from tests.support.producer_parts import Parts

NOW = 1e12


def test_batches_leave_in_the_order_they_were_opened() -> None:
    parts = Parts()
    first = parts.sent()
    parts.delivered(first)
    batches = [parts.batch() for _ in range(4)]
    for batch in batches:
        parts.send(batch)
    assert parts.partition().in_flight == batches


def test_sequences_go_on_by_the_number_of_records() -> None:
    parts = Parts()
    counts = [3, 1, 4]
    batches = []
    for count in counts:
        batches.append(parts.sent(count))
        parts.delivered(batches[-1])
    assert [batch.sequence for batch in batches] == [0, 3, 4]
    assert all(batch.identity is parts.identity for batch in batches)


def test_sequences_wrap_at_two_to_the_thirty_first() -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    parts.partition().next_sequence = 2**31 - 2
    before, after = parts.sent(3), parts.sent()
    assert (before.sequence, after.sequence) == (2**31 - 2, 1)


def test_at_most_five_batches_of_a_partition_are_in_flight() -> None:
    parts = Parts(max_in_flight=9)
    parts.delivered(parts.sent())
    for _ in range(5):
        parts.sent()
    parts.batch()
    assert parts.partition().head(NOW, 0.0) is None


def test_the_first_batch_under_an_identity_goes_alone() -> None:
    parts = Parts()
    first, second = parts.sent(), parts.batch()
    assert parts.partition().head(NOW, 0.0) is None
    parts.delivered(first)
    parts.send(second)


def test_the_first_batch_after_a_quiet_time_goes_alone_because_brokers_forget_quiet_producers() -> None:
    parts = Parts()
    before = parts.sent()
    before.created -= REMEMBERED_SECONDS + 1
    parts.delivered(before)
    first, second = parts.sent(), parts.batch()
    assert parts.partition().head(NOW, 0.0) is None
    parts.delivered(first)
    parts.send(second)
    parts.sent()


def test_without_idempotence_one_batch_is_in_flight_and_has_no_number() -> None:
    parts = Parts(idempotent=False)
    first, second = parts.sent(), parts.batch()
    assert parts.partition().head(NOW, 0.0) is None
    parts.delivered(first)
    parts.send(second)
    assert (second.identity, second.sequence) == (None, -1)


def test_a_retry_waits_for_all_in_flight_and_then_goes_first_with_its_old_number() -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    first, second, third = parts.sent(2), parts.sent(2), parts.batch()
    number = first.sequence
    parts.refused(first, 19)
    assert parts.partition().head(NOW, 0.0) is None
    parts.refused(second, 45)
    parts.send(first)
    assert first.sequence == number
    parts.delivered(first)
    parts.send(second)
    parts.delivered(second)
    parts.send(third)
    assert third.sequence == number + 4


def test_a_retry_goes_alone_because_the_broker_remembers_five_batches() -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    first, *others = [parts.sent() for _ in range(5)]
    parts.refused(first, 20)  # written, but too few replicas confirmed
    for batch in others:
        parts.delivered(batch)
    parts.send(first)
    newer = parts.batch()
    assert parts.partition().head(NOW, 0.0) is None
    parts.delivered(first)
    parts.send(newer)


def test_a_backoff_holds_the_partition_until_its_time() -> None:
    parts = Parts()
    batch = parts.sent()
    parts.refused(batch, 19)
    partition = parts.partition()
    partition.retry_at = 50.0
    assert partition.head(49.9, 0.0) is None
    assert partition.due(49.9, 0.0) == 50.0
    assert partition.head(50.0, 0.0) is batch


def test_an_open_batch_leaves_after_its_linger_and_a_closed_one_at_once() -> None:
    parts = Parts(linger=5.0)
    batch = parts.topic.append(Record("t", b"v", partition=0))._batch
    partition = parts.partition()
    assert partition.head(batch.created + 4.9, 5.0) is None
    assert partition.due(batch.created, 5.0) == batch.created + 5.0
    assert partition.head(batch.created + 5.0, 5.0) is batch
    partition.close()
    assert partition.head(batch.created, 5.0) is batch


def test_a_batch_whose_time_ran_out_while_it_waited_never_leaves() -> None:
    parts = Parts(delivery_timeout=10.0)
    late, in_time = parts.batch(), parts.batch()
    in_time.created = late.created + 5
    parts.producer.expire(late.created + 10)
    assert parts.partition().head(NOW, 0.0) is in_time


# renumbering (KIP-360)


def test_a_lost_sequence_is_renumbered_under_the_next_epoch_when_all_is_back() -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    first, second = parts.sent(), parts.sent()
    parts.refused(first, 45)
    assert parts.partition().head(NOW, 0.0) is None
    parts.refused(second, 45)
    parts.send(first)
    assert first.identity is parts.producer.identity is not parts.identity
    assert (first.identity.producer_id, first.identity.epoch, first.sequence) == (9, 1, 0)
    parts.delivered(first)
    parts.send(second)
    assert (second.identity, second.sequence) == (first.identity, 1)


def test_a_number_that_came_too_early_is_not_lost() -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    first, second = parts.sent(), parts.sent()
    parts.refused(second, 45)
    assert not parts.partition().sequence_lost
    parts.delivered(first)
    parts.send(second)
    assert (second.identity, second.sequence) == (parts.identity, 2)


def test_what_may_be_in_the_log_is_first_resent_under_its_old_number() -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    first, second = parts.sent(), parts.sent()
    second.fate_unknown = True
    parts.partition().put_back(second)
    parts.refused(first, 29)  # fails, and its number will never be used
    assert parts.partition().sequence_lost
    parts.send(second)
    assert (second.identity, second.sequence) == (parts.identity, 2)
    parts.refused(second, 45)  # so it is not in the log
    assert not second.fate_unknown
    parts.send(second)
    assert (second.identity.epoch, second.sequence) == (1, 0)  # type: ignore[union-attr]


def in_doubt(parts: Parts, count: int) -> list[Batch]:
    """Batches that were in flight together, and whose answers never came; the oldest, sent again, is out of
    order.
    """
    parts.delivered(parts.sent())
    batches = [parts.sent(2) for _ in range(count)]
    for batch in batches:
        batch.fate_unknown = True
        batch.attempts += 1
        parts.partition().put_back(batch)
    parts.send(batches[0])
    parts.refused(batches[0], 45)
    return batches


def test_a_number_that_may_be_forgotten_for_newer_ones_is_not_renumbered_before_those_were_asked_for() -> None:
    parts = Parts()
    first, second, newest = in_doubt(parts, 3)
    later = parts.batch()
    parts.send(newest)
    assert (newest.identity, newest.sequence) == (parts.identity, 5)
    parts.delivered(newest, 5)  # the broker has it, so it has all before it
    assert [(batch.result(0).error, batch.result(0).offset) for batch in (first, second, newest)] == [
        (None, None),
        (None, None),
        (None, 5),
    ]
    parts.send(later)
    assert (later.identity, later.sequence) == (parts.identity, 7)


def test_batches_in_doubt_are_renumbered_in_their_order_when_the_broker_has_none() -> None:
    parts = Parts()
    batches = in_doubt(parts, 3)
    for batch in (batches[2], batches[1]):
        parts.send(batch)
        parts.refused(batch, 45)
    for number, batch in enumerate(batches):
        assert not batch.fate_unknown
        parts.send(batch)
        assert (batch.identity.producer_id, batch.identity.epoch, batch.sequence) == (9, 1, 2 * number)  # type: ignore[union-attr]
        parts.delivered(batch)


def test_a_broker_that_has_some_of_those_in_doubt_is_sent_the_others_under_their_numbers() -> None:
    parts = Parts()
    first, second, newest = in_doubt(parts, 3)
    parts.send(newest)
    parts.refused(newest, 45)
    parts.send(second)  # it follows the first, which is the last the broker has
    parts.delivered(second, 3)
    assert (first.is_set, first.error, first.base_offset) == (True, None, None)
    parts.send(newest)
    assert (newest.identity, newest.sequence) == (parts.identity, 5)


def test_a_batch_that_expires_while_newer_ones_are_asked_for_changes_nothing_for_the_others() -> None:
    parts = Parts(delivery_timeout=10.0)
    first, second, newest = in_doubt(parts, 3)
    second.created = newest.created = first.created + 5
    parts.send(newest)
    parts.producer.expire(first.created + 10)
    parts.delivered(newest, 5)
    assert (second.is_set, second.error, second.base_offset) == (True, None, None)
    assert parts.partition().empty or parts.partition().head(NOW, 0.0) is None
    error = first.result(0).error
    assert error is not None
    assert error.possibly_persisted


def test_a_batch_that_is_forgotten_for_one_that_was_delivered_is_delivered() -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    first, second = parts.sent(), parts.sent()
    parts.refused(first, 20)  # it was written, and the second one, too
    parts.delivered(second)
    parts.send(first)
    parts.refused(first, 45)  # by a broker that was restarted
    assert (first.is_set, first.error, first.base_offset) == (True, None, None)
    after = parts.sent()
    assert (after.identity, after.sequence) == (parts.identity, 3)


def test_a_batch_that_may_be_forgotten_for_one_that_was_refused_for_good_is_possibly_persisted() -> None:
    parts = Parts()
    first, newest = in_doubt(parts, 2)
    parts.send(newest)
    parts.refused(newest, 29)  # its fate stays unknown, and it can not be asked for again
    parts.send(first)
    parts.refused(first, 45)
    error = first.result(0).error
    assert error is not None
    assert error.possibly_persisted


def test_a_topic_made_anew_knows_nothing_of_a_producer_so_the_first_batch_goes_alone() -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    info = TopicInfo("t", b"\2" * 16, (1,), (0,))
    parts.producer.routing.apply(ClusterSnapshot(topics=MappingProxyType({"t": info})))
    first, second = parts.sent(2), parts.batch()
    assert parts.partition().head(NOW, 0.0) is None  # the broker would take it, and then refuse the first for good
    parts.refused(first, 10)
    assert parts.partition().head(NOW, 0.0) is not second


def test_a_partition_that_lost_its_sequence_only_wishes_for_the_next_epoch() -> None:
    parts = Parts([1, 1])
    for partition in (0, 1):
        parts.delivered(parts.sent(partition=partition))
    lost = parts.sent(partition=0)
    parts.refused(lost, 45)
    other = parts.batch(partition=1)
    batches, stuck = parts.batcher().drain(NOW, parts.identity)
    assert [batch for _, batch in batches] == [other]
    assert stuck == [parts.partition(0)]
    assert (parts.producer.identity, lost.in_flight, lost.sequence) == (parts.identity, False, 1)
    parts.producer.begin_anew(stuck, parts.identity)
    assert parts.drained(NOW) == [lost]
    assert (lost.identity.epoch, lost.sequence) == (1, 0)  # type: ignore[union-attr]
    assert (other.identity, other.sequence) == (parts.identity, 1)


def test_what_waits_for_an_identity_is_left_to_who_fetches_it() -> None:
    parts = Parts()
    parts.producer.identities.current = None
    batch = parts.batch()
    batches, stuck = parts.batcher().drain(NOW, None)
    assert (batches, stuck) == ([], [parts.partition()])
    parts.bell.woken = False
    parts.producer.begin_anew(stuck, None)
    assert parts.bell.woken
    assert not parts.batcher().ready
    parts.producer.identities.found(parts.identity)
    parts.producer.batchers.offer(parts.partition())
    assert parts.drained(NOW) == [batch]


def test_an_epoch_is_bumped_once_for_all_partitions_that_lost_it() -> None:
    parts = Parts([1, 1])
    batches = []
    for partition in (0, 1):
        parts.delivered(parts.sent(partition=partition))
        batches.append(parts.sent(partition=partition))
    for batch in batches:
        parts.refused(batch, 45)
    for batch in batches:
        parts.send(batch)
    assert [(batch.identity.epoch, batch.sequence) for batch in batches] == [(1, 0), (1, 0)]  # type: ignore[union-attr]


def test_after_the_last_epoch_a_new_producer_id_is_wanted() -> None:
    parts = Parts()
    parts.producer.identities.current = Identity(9, 32767)
    batch = parts.sent()
    parts.refused(batch, 45)
    parts.bell.woken = False
    assert not parts.partition().take(batch, parts.producer.identity)
    parts.producer.begin_anew([parts.partition()], parts.producer.identity)
    assert parts.producer.identity is None
    assert parts.bell.woken  # the ProducerActor, who fetches it
    parts.producer.identities.current = Identity(10, 0)
    parts.send(batch)
    assert (batch.identity.producer_id, batch.sequence) == (10, 0)  # type: ignore[union-attr]


def test_numbers_go_on_under_the_old_identity_while_something_is_in_flight() -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    first = parts.sent()
    parts.producer.identities.bump(parts.identity)
    second = parts.sent()
    assert second.identity is first.identity is parts.identity
    parts.delivered(first)
    parts.delivered(second)
    third = parts.sent()
    assert (third.identity, third.sequence) == (parts.producer.identity, 0)


@pytest.mark.parametrize("codes", [(10,), (10, 10)])
def test_pieces_of_a_split_batch_keep_their_numbers_and_their_place(codes: tuple[int, ...]) -> None:
    parts = Parts()
    parts.delivered(parts.sent())
    batch, later = parts.sent(4), parts.batch()
    first = batch
    for code in codes:
        parts.refused(first, code)
        first = parts.partition().pending[0]
        parts.send(first)
    assert first.sequence == 1
    parts.delivered(first)
    numbers = [1 + first.count]
    while (head := parts.partition().head(NOW, 0.0)) is not later:
        assert head is not None
        parts.partition().take(head, parts.identity)
        numbers.append(head.sequence + head.count)
        parts.delivered(head)
    assert numbers[-1] == 5
    parts.send(later)
    assert later.sequence == 5
    assert batch.is_set


def test_a_piece_whose_number_is_refused_does_not_wait_for_its_siblings() -> None:
    parts = Parts()
    batch = parts.sent(2)
    parts.refused(batch, 10)
    first, second = parts.partition().pending
    parts.send(first)
    parts.refused(first, 45)
    parts.send(first)
    assert (first.identity.epoch, first.sequence) == (1, 0)  # type: ignore[union-attr]
    parts.delivered(first)
    parts.send(second)
    assert (second.identity, second.sequence) == (first.identity, 1)
