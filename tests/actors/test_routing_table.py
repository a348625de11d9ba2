"""`RoutingTable`: topics that come, go and move, with what is queued for them."""

from __future__ import annotations

from producer_parts import NO_LEADER, Parts

NOW = 1e12


def test_a_moved_partition_takes_its_queue_its_numbers_and_its_order_along() -> None:
    parts = Parts([1, 1])
    parts.delivered(parts.sent())
    retried = parts.sent()
    queued = parts.batch()
    parts.refused(retried, 6)
    parts.queue().retry_at = NOW + 1
    parts.apply([2, 1])
    (batch,) = parts.accumulator.routing.lanes[2, 0].drain(NOW)
    assert (batch, batch.sequence, batch.identity) == (retried, 1, parts.identity)
    parts.delivered(retried)
    parts.accumulator.routing.offer(parts.queue())
    assert parts.accumulator.routing.lanes[2, 0].drain(NOW) == [queued]
    assert queued.sequence == 2


def test_news_that_change_nothing_move_nothing() -> None:
    parts = Parts([1])
    lane = parts.queue().lane
    parts.apply([1])
    assert parts.queue().lane is lane
    assert len(parts.accumulator.routing.lanes) == 1


def test_records_for_a_partition_without_leader_wait_and_are_known_to_wait() -> None:
    parts = Parts([NO_LEADER])
    assert not parts.accumulator.routing.has_leaderless()
    batch = parts.batch()
    assert parts.accumulator.routing.has_leaderless()
    parts.apply([3])
    assert not parts.accumulator.routing.has_leaderless()
    assert parts.accumulator.routing.lanes[3, 0].drain(NOW) == [batch]


def test_a_batch_that_comes_back_when_its_leader_is_gone_is_known_to_wait() -> None:
    parts = Parts([1])
    batch = parts.sent()
    parts.apply([NO_LEADER])
    assert not parts.accumulator.routing.has_leaderless()
    parts.refused(batch, 6)
    parts.accumulator.routing.offer(batch.queue)
    assert parts.accumulator.routing.has_leaderless()


def test_nobody_looks_for_a_leader_when_all_that_waited_for_one_has_expired() -> None:
    parts = Parts([NO_LEADER], delivery_timeout=10.0)
    batch = parts.batch()
    assert parts.accumulator.routing.has_leaderless()
    parts.accumulator.clock.expire(batch.created + 10)
    assert not parts.accumulator.routing.has_leaderless()


def test_a_topic_that_vanishes_and_comes_back_finds_its_records() -> None:
    parts = Parts([1])
    parts.delivered(parts.sent())
    batch = parts.batch()
    parts.apply(None)
    assert "t" not in parts.accumulator.routing.routes
    assert parts.queue().lane is None
    parts.apply([2])
    assert parts.accumulator.routing.routes["t"] is parts.route
    assert parts.accumulator.routing.lanes[2, 0].drain(NOW) == [batch]
    assert batch.sequence == 1


def test_a_partition_that_was_gone_for_a_while_does_not_begin_with_numbers_that_were_used() -> None:
    parts = Parts([1, 1])
    before = parts.sent(partition=1)
    parts.delivered(before)
    parts.apply([1])
    parts.apply([1, 1])
    after = parts.sent(partition=1)
    assert before.identity is not None
    assert after.identity is not None
    assert (after.identity.producer_id, after.identity.epoch, after.sequence) == (9, before.identity.epoch + 1, 0)


def test_a_topic_made_anew_with_fewer_partitions_lets_what_is_beyond_expire() -> None:
    parts = Parts([1, 1, 1], delivery_timeout=10.0)
    kept, lost = parts.batch(partition=0), parts.batch(partition=2)
    parts.apply([1])
    assert parts.route.count == 1
    assert parts.accumulator.routing.lanes[1, 0].drain(NOW) == [kept]
    parts.accumulator.clock.expire(lost.created + 10)
    assert not lost.result(0).error.possibly_persisted  # type: ignore[union-attr]


def test_new_partitions_can_be_produced_to_at_once() -> None:
    parts = Parts([1])
    parts.apply([1, 2])
    parts.batch(partition=1)
    assert len(parts.accumulator.routing.lanes[2, 0].drain(NOW)) == 1
