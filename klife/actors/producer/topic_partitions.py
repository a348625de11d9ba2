"""`TopicPartitions`: which partitions a topic has, who leads them, and which one a record goes to.

What the cluster tells of the topic arrives here (`follow`), and what is known of a partition stays whatever
it tells. A record's partition is its own, a partitioner's, or the one that keyless records stick to; the fast
ways to it are in `Topic.append`, the others here, with the errors for what is no partition of the topic.
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Any

from gevent._hub_local import get_hub_if_exists

from klife import cython_shim as cython
from klife.actors.metadata.snapshot import NO_LEADER
from klife.actors.producer.partition import Partition
from klife.actors.producer.partitioners import Murmur2Partitioner, may_go_anywhere
from klife.actors.producer.validation import exact_int
from klife.errors import InvalidRecordType, InvalidRecordValue, UnknownPartition
from klife.protocol.primitives import INT32_MAX, ZERO_UUID
from klife.record import Record
from klife.words import counted, kind_of

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from klife.actors.metadata.snapshot import TopicInfo
    from klife.actors.producer.batcher import Batchers
    from klife.actors.producer.terms import Terms

WaitForPartitions = Callable[[str, int, float, int], "TopicInfo | None"]
_LOOKS = 12  # at partitions at the most, until one is found whose broker has nothing to answer
_STRIDE = cython.declare(cython.double, 0.6180339887498949)  # of the golden ratio: steps of it spread evenly
NOWHERE = -1  # keyless records stick to no partition: the next one chooses


class NotAtHome(Exception):
    """What a record of another thread needs is done in the home thread alone. Nothing was queued."""


class TopicPartitions:
    """The partitions of one topic of one producer, and its partitioner."""

    __slots__ = (
        "name",
        "info",
        "partitions",
        "count",
        "partitioner",
        "sticky",
        "sticks",
        "terms",
        "_made",
        "_batchers",
        "_wait_for_partitions",
        "_partition",
        "_hashes",
        "_by_leader",
    )

    def __init__(
        self, info: TopicInfo, partitioner: Any, terms: Terms, batchers: Batchers, wait_for_partitions: WaitForPartitions
    ) -> None:
        """`wait_for_partitions(topic, count, deadline, answers)` asks the cluster until the topic has so
        many, and returns what is known of it then; None where it has fewer at the `deadline`, or after so many
        `answers`.
        """
        self.name: str = info.name
        self.info: TopicInfo = info
        self.count: int = 0
        self.partitions: list[Partition | None] = []  # those there are now, each made when it is first produced to
        self._made: dict[int, Partition] = {}  # by id; also those beyond the ones there are now
        self.partitioner: Any = partitioner
        self.sticks: bool = bool(getattr(partitioner, "sticky_keyless", False))
        self.sticky: int = NOWHERE
        self.terms: Terms = terms
        self._batchers = batchers
        self._wait_for_partitions = wait_for_partitions
        self.follow(info)

    # what the cluster tells

    def follow(self, info: TopicInfo) -> None:
        """What is known of the topic from now on. All that is queued goes on to where it is led now."""
        self._look_whether_anew(self.info, info)
        self.info = info
        # While all partitions have leaders, which is nearly always, the partitioner is asked without a
        # detour.
        all_led = 0 < len(info.available) == info.partition_count
        # The default partitioner, without its call.
        self._hashes = info.partition_count > 0 and type(self.partitioner) is Murmur2Partitioner
        self._partition = self.partitioner.partition if all_led else self._choice_among_the_led
        lingers = self.terms.settings.linger > 0
        self._by_leader = tuple(sorted(info.available, key=info.leaders.__getitem__)) if lingers else None
        # A topic made anew with fewer partitions: what was queued beyond them waits. Should there be as many
        # again, they go on where they were: with sequences that were used, a broker would take new records
        # for those it has.
        partitions = [self._made.get(partition_id) for partition_id in range(info.partition_count)]
        self.partitions = partitions
        self.count = info.partition_count
        for partition in list(self._made.values()):
            self._place(partition)
        if self.sticky >= self.count or (self.sticky != NOWHERE and info.leaders[self.sticky] == NO_LEADER):
            self.sticky = NOWHERE

    def _look_whether_anew(self, before: TopicInfo, info: TopicInfo) -> None:
        """If the topic was deleted and made anew, tell its partitions that their logs are new."""
        surely = ZERO_UUID not in (info.topic_id, before.topic_id)
        is_another = info.topic_id != before.topic_id if surely else info.generation != before.generation
        if is_another:
            for partition in list(self._made.values()):
                partition.log_is_new(surely)

    def _place(self, partition: Partition) -> None:
        """Have `partition` served by its leader's batcher."""
        info, partition_id = self.info, partition.partition_id
        partition.topic_id = info.topic_id
        partition.leader_error = info.errors[partition_id] if partition_id < len(info.errors) else 0
        self._batchers.place(partition, info.leaders[partition_id] if partition_id < len(info.leaders) else NO_LEADER)

    def await_partition(self, partition_id: int, deadline: float, chosen: bool) -> bool:
        """Have the cluster asked for a partition that may just have been added; return whether it is there by
        `deadline`.

        A partitioner that `chosen` it was told how many there are: for what it knows better, one answer has
        to do.
        """
        info = self._wait_for_partitions(self.name, partition_id + 1, deadline, 1 if chosen else 0)
        if self.terms.closed is not None:  # stopped while we waited
            raise self.terms.closed_error()
        if info is not None:
            self.follow(info)  # before the ProducerActor has looked
        return partition_id < self.count

    # where a record goes

    def partition(self, partition_id: int) -> Partition:
        """One of the partitions there are, made when it is first produced to.

        Raises:
            NotAtHome: it is to be made, which is for the home thread.
        """
        partition = self._made.get(partition_id)
        if partition is None:
            if self.terms.own_thread and get_hub_if_exists() is not self.terms.home:
                raise NotAtHome
            fresh = Partition(self.name, partition_id, self.terms)
            self._place(fresh)
            partition = self._made.setdefault(partition_id, fresh)  # something that ran meanwhile may have made it
        self.partitions[partition_id] = partition
        return partition

    def _sticks(self, record: Record, partitioner: Any) -> bool:
        """Whether a record goes where the topic's other records without key go."""
        return self.sticks and record.key is None and record.partition is None and partitioner is None

    def _choice_among_the_led(self, record: Record, _count: int) -> Any:
        return self._choice_of(self.partitioner, record)

    def _choice_of(self, partitioner: Any, record: Record) -> Any:
        """The partition that `partitioner` says; for a record that may go anywhere, one with a leader while
        some have none.
        """
        if not self.count:
            return 0  # it could but divide by that; `_unseen` looks whether there are any now
        available = self.info.available
        if 0 < len(available) < self.count and may_go_anywhere(partitioner, record):
            return available[int(random() * len(available))]
        return partitioner.partition(record, self.count)

    @cython.locals(partition="Partition", batcher="Batcher", best=cython.Py_ssize_t, unanswered=cython.Py_ssize_t)
    @cython.locals(fewest=cython.Py_ssize_t, chosen=cython.Py_ssize_t, drawn=cython.double, together=cython.bint)
    def _stick_elsewhere(self) -> Partition:
        """The batch that keyless records stuck to is closed; they go to another partition from now on: this
        one (KIP-480).

        Of a few that are drawn it is the one whose broker has the fewest requests to answer (KIP-794): all
        that follows would wait for a broker that is slow just now.

        Topics whose records linger draw the same: with their partitions in the order of the leaders, that is
        mostly one broker, so that they share its request. Each partition of a topic is as likely as before.
        """
        available = self.info.available
        before = self.partitions[self.sticky] if 0 <= self.sticky < self.count else None
        together = False
        if self._by_leader is not None and (before is None or before.empty):  # else it is full, and other brokers may help
            available, together = self._by_leader, True
        drawn = self.terms.draw_together() if together else random()
        best, fewest = -1, -1
        for _ in range(_LOOKS):
            chosen = available[int(drawn * len(available))] if available else int(drawn * self.count)
            drawn = (drawn + _STRIDE) % 1.0 if together else random()
            partition = self.partitions[chosen]
            batcher = None if partition is None else partition.served_by
            unanswered = 0 if batcher is None else len(batcher.calls)
            if fewest < 0 or unanswered < fewest:
                best, fewest = chosen, unanswered
            if not fewest:
                break
        self.sticky = best
        return self.partition(best)

    @cython.locals(partition="Partition", batcher="Batcher")
    def unstick(self) -> None:
        """Some broker has nothing to do: have keyless records choose anew if those of theirs that wait do so
        for another.
        """
        partition = self.partitions[self.sticky] if 0 <= self.sticky < self.count else None
        if partition is None or partition.open is None:
            return
        batcher = partition.served_by
        if batcher is not None and batcher.is_full:
            self.sticky = NOWHERE

    def _unseen(self, record: Record, chosen: Any, partitioner: Any, deadline: float | None = None) -> Partition:
        """A partition seen for the first time, or the error that says what is wrong with what was `chosen`."""
        explicit = record.partition is not None
        if not self.count and not explicit:
            return self._first(record, partitioner, deadline)
        whose = "Record.partition" if explicit else f"what {type(partitioner or self.partitioner).__name__}.partition returned"
        partition_id = chosen if type(chosen) is int else exact_int(chosen)
        if partition_id is None:
            raise InvalidRecordType(
                f"{whose} is {kind_of(chosen)} ({chosen!r}); expected an int from 0 to {self.count - 1} "
                f"(topic {self.name!r} has {counted(self.count, 'partition')})"
                + (", or None to let the partitioner choose" if explicit else "")
            )
        if not 0 <= partition_id <= INT32_MAX:
            raise InvalidRecordValue(self._no_such(whose, partition_id, explicit))
        if partition_id >= self.count and (
            deadline is not None or not self.await_partition(partition_id, monotonic() + self.terms.max_block, not explicit)
        ):
            raise UnknownPartition(
                f"{self._no_such(whose, partition_id, explicit)}. None was added "
                f"{'within max_block_ms' if explicit else 'since the partitioner was told'}; add partitions, or correct the number. "
                "The record was not queued.",
                topic=self.name,
                partition=partition_id,
                retriable=True,
            )
        return self.partition(partition_id)

    def _first(self, record: Record, partitioner: Any, deadline: float | None) -> Partition:
        """A partition of a topic that has none: there may be some now, among which to choose."""
        if deadline is not None or not self.await_partition(0, monotonic() + self.terms.max_block, True):
            raise UnknownPartition(
                f"topic {self.name!r} has 0 partitions, and no record can go to it; add partitions. The record was not queued.",
                topic=self.name,
                partition=0,
                retriable=True,
            )
        if self._sticks(record, partitioner):
            return self._stick_elsewhere()
        return self._unseen(record, self._choice_of(partitioner or self.partitioner, record), partitioner, deadline)

    def _no_such(self, whose: str, partition_id: int, explicit: bool) -> str:
        return f"{whose} is {partition_id}, but topic {self.name!r} has {counted(self.count, 'partition')}" + (
            (f": expected an int from 0 to {self.count - 1}" + (", or None to let the partitioner choose" if explicit else ""))
            if self.count
            else ""
        )
