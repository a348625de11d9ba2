"""Keyless records of one call, in pure Python: those that follow each other join their batch in one go.

A second hot path, beside `Topic.append`, for what that takes at a glance: plain records without key, partition,
time or headers, and an open batch with room for them. All others are left to it. The compiled core has no use
for this: it looks at all that a record has in a tenth of the time.

As there, other code may run after a call, where a loop goes back, and where a container is made: a signal
handler's or a destructor's, which may produce, too. So everything is made first; then it is looked whether the
batch is as it was; and from there to the one call that puts the records in there is none of these. A run is
thus taken whole or not at all.
"""

from __future__ import annotations

from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from klife.actors.producer.validation import NO_HEADERS
from klife.protocol.records import RECORD_OVERHEAD
from klife.record import Record

if TYPE_CHECKING:
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.delivery import Places
    from klife.actors.producer.partition import Partition
    from klife.actors.producer.topic import Topic

_AT_ONCE = 64  # records, at most: one look at the clock is for so many


def join(topic: Topic, records: list[Record], start: int, places: Places, looks: bool) -> int:
    """Queue those records from `start` on that can be queued at once, note in `places` where they are, and
    return how many. Where it `looks`, the clock is looked at first, if there is a batch to join.

    Raises:
        ClientClosed: the client was stopped meanwhile. Nothing was queued.
    """
    first = records[start]
    if not topic.sticks or first.key is not None or first.partition is not None or first.headers is not NO_HEADERS:
        return 0  # without a look at the clock: whoever sends such records sends many
    hub_watch, terms = topic._hub_watch, topic.terms
    partition, batch = _stuck_to(topic)
    if batch is None:
        return 0
    if looks:
        now_ms = time_ns() // 1_000_000
        if now_ms != hub_watch.looked_ms and hub_watch.look(now_ms, monotonic()) and terms.closed is not None:
            raise terms.closed_error()
        partition, batch = _stuck_to(topic)
    if partition is None or batch is None:
        return 0
    pool, limit = topic._pool, topic._limit
    entries, size = _plain(records[start : start + _AT_ONCE], topic.name, hub_watch.stamp, min(limit - batch.size, pool.room))
    count, index = len(entries) // 4, batch.count
    span, batches, indices = slice(start, start + count), [batch] * count, list(range(index, index + count))
    room = pool.room - size
    if partition.open is not batch or batch.count != index or room < 0 or batch.size + size > limit:
        return 0  # something that ran meanwhile produced, too
    pool.room = room
    batch.size += size
    batch.count = index + count
    places.batches[span] = batches
    places.indices[span] = indices
    batch.fields.extend(entries)
    return count


def _stuck_to(topic: Topic) -> tuple[Partition | None, Batch | None]:
    """The partition that keyless records stick to, and its open batch."""
    partition = topic.partitions[topic.sticky] if 0 <= topic.sticky < topic.count else None
    return partition, None if partition is None else partition.open


def _plain(records: list[Record], topic: str, timestamp_ms: int, room: int) -> tuple[list[Any], int]:
    """The fields of the first of `records`, up to one that is out of the ordinary or has no `room` any more; and
    the bytes they take.
    """
    fields: list[Any] = []
    size = 0
    try:
        for record in records:
            value = record.value
            if (
                type(value) is not bytes
                or record.key is not None
                or record.partition is not None
                or record.timestamp_ms is not None
                or record.headers is not NO_HEADERS
                or record.topic != topic
                or type(record) is not Record
            ):
                break
            more = size + RECORD_OVERHEAD + len(value)
            if more > room:
                break
            size = more
            fields += (None, value, NO_HEADERS, timestamp_ms)
    except AttributeError:  # a field that was never set
        pass
    return fields, size
