"""`LogReader`: what is in the logs of a topic, read from the brokers by Fetch, without a consumer group.

    with LogReader("127.0.0.1:9092") as reader:
        ends = reader.end_offsets()
        ...
        reader.read("orders", ends)      # what was written since, from every partition

It is an `AdminClient` in this, and shares with klife's client what opens connections, and nothing of what
decides and keeps state; so what it finds does not depend on what the client believes. It reads up to the high
watermark, what all in-sync replicas have; so a record made with `acks` 1 or 0 can be confirmed a moment before
it is seen here. `read` tells committed records, and nothing behind a transaction that is open; `follow` does if
asked to, and else tells those of open and aborted transactions, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeVar

import gevent

from klife.actors.settings import ConnectionSettings
from klife.admin import AdminClient, AdminError
from klife.host_name import address_of
from klife.protocol.apis.fetch import FetchPartition, FetchRequest, FetchTopic, PartitionData
from klife.protocol.apis.list_offsets import (
    EARLIEST_TIMESTAMP,
    LATEST_TIMESTAMP,
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsTopic,
)
from klife.protocol.apis.list_transactions import ListTransactionsRequest
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic
from klife.protocol.error_codes import describe, is_retriable
from klife.protocol.errors import DecodeError, UnsupportedVersion
from klife.protocol.primitives import ZERO_UUID
from klife.protocol.record_decode import decode_batches
from klife.record import Delivered, Record
from klife.testing.committed import committed_batches

T = TypeVar("T")

ATTEMPT_SECONDS = 5.0
RETRY_SECONDS = 0.05
MAX_WAIT_MS = 500
FOLLOWING_WAIT_MS = 100  # of each leader, one after the other
REQUEST_BYTES = 16 * 1024 * 1024
PARTITION_BYTES = 1024 * 1024
NOBODY = -1
READ_UNCOMMITTED, READ_COMMITTED = 0, 1
ENDING = ("PrepareCommit", "PrepareAbort")
"""The states of a transaction whose end was answered, and whose markers may not all be written."""

MARKER_SECONDS = 5.0
"""That much brokers before Kafka 3.0 get to write markers, because they do not tell of them."""
NO_END = 2**63


class Log(NamedTuple):
    """The log of a partition. The topic's id tells a topic from its successor of the same name (KIP-516)."""

    topic: str
    topic_id: bytes
    partition: int


class LogReader:
    """Asks the leaders. All its calls together end within `timeout` seconds (and one attempt), with
    AdminError if they must. It connects as a client with these `settings` does; without any, in plaintext.
    """

    def __init__(self, bootstrap_servers: str, *, timeout: float = 30.0, settings: ConnectionSettings | None = None) -> None:
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        patience = min(timeout, ATTEMPT_SECONDS)
        if settings is None:
            self._admin = AdminClient(bootstrap_servers, timeout=patience)
        else:
            self._admin = AdminClient.connecting_as(settings, bootstrap_servers, timeout=patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._admin.close()

    def end_offsets(self, topics: Sequence[str] | None = None, *, isolation_level: int = READ_UNCOMMITTED) -> dict[Log, int]:
        """The offset that each partition's next record gets, or with `READ_COMMITTED` the one below which all
        transactions have ended; of every topic that is not Kafka's own when `topics` is None.
        """
        return self._until_answered(lambda: self._offsets(topics, LATEST_TIMESTAMP, isolation_level))

    def begin_offsets(self, topics: Sequence[str] | None = None) -> dict[Log, int]:
        """The offset of the first record that each partition has or will have: retention may have deleted
        what was before it.
        """
        return self._until_answered(lambda: self._offsets(topics, EARLIEST_TIMESTAMP))

    def follow(self, positions: dict[Log, int], *, isolation_level: int = READ_UNCOMMITTED) -> Iterator[list[Record]]:
        """Records of these partitions of a topic as they come, from `positions` on, which move with them.

        Those of open and aborted transactions are among them, unless `isolation_level` is `READ_COMMITTED`:
        then those of transactions come when these are committed. Never ends. Each list is what a round of requests
        got, and may be empty; within one, records come by partition. Each round has `timeout` seconds.
        """
        ends = dict.fromkeys(positions, NO_END)
        how = {"isolation_level": isolation_level, "max_wait_ms": FOLLOWING_WAIT_MS}
        while True:
            self._deadline = time.monotonic() + self._timeout
            found: list[Record] = []
            self._until_answered(lambda found=found: self._fetch(positions, positions, ends, found, **how))  # type: ignore[misc]
            yield found

    def read(self, topic: str, start: Mapping[Log, int]) -> list[Record]:
        """The topic's committed records from `start` up to the ends there are now, by partition and offset. A
        transaction whose commit was answered by now is seen whole.

        A partition that `start` does not name is read from its beginning. So is a topic that was made anew
        since: by brokers before 2.8, whose topics have no id, only as far as its log is shorter than the old
        one.
        """
        written = self.end_offsets([topic])
        begins = self.begin_offsets([topic])
        positions = {log: max(_known(start, log, end), begins.get(log, 0)) for log, end in written.items()}
        stable = self._stable(topic, written)
        ends = {log: min(end, stable.get(log, 0)) for log, end in written.items()}
        found: list[Record] = []
        while behind := [log for log in ends if positions[log] < ends[log]]:
            self._until_answered(lambda behind=behind: self._fetch(behind, positions, ends, found))  # type: ignore[misc]
        return sorted(found, key=lambda record: (record.partition, record.offset))

    def _stable(self, topic: str, written: Mapping[Log, int]) -> dict[Log, int]:
        """Below which offsets all transactions have ended; waits for those whose end is being written."""
        began = time.monotonic()
        ending: set[str] | None = None
        while True:
            stable = self._until_answered(lambda: self._offsets([topic], LATEST_TIMESTAMP, READ_COMMITTED))
            if ending == set() or all(stable.get(log, 0) >= end for log, end in written.items()):
                return stable
            now = self._until_answered(lambda: self._ending(began))
            # Those that come after are not waited for: on a busy cluster there would always be one.
            ending = now if ending is None else ending & now
            if ending and time.monotonic() > self._deadline:
                raise AdminError(f"the ends of transactions in {topic!r} were not written within {self._timeout:g} s")
            gevent.sleep(RETRY_SECONDS if ending else 0)

    def _ending(self, began: float) -> set[str]:
        """The ids of transactions that are ending now."""
        found: set[str] = set()
        for broker in self._admin.brokers():
            try:
                answer = self._admin.send(ListTransactionsRequest(state_filters=list(ENDING)), broker.address)
            except UnsupportedVersion:
                return {"anybody's"} if time.monotonic() < began + MARKER_SECONDS else set()
            _check(f"the transactions of broker {broker.node_id}", answer.error_code)
            found |= {each.transactional_id for each in answer.transaction_states}
        return found

    def _offsets(self, topics: Sequence[str] | None, timestamp: int, isolation_level: int = READ_UNCOMMITTED) -> dict[Log, int]:
        offsets: dict[Log, int] = {}
        for address, logs in self._by_leader(topics).items():
            request = ListOffsetsRequest(replica_id=NOBODY, isolation_level=isolation_level)
            for name, of_topic in _by_topic(logs).items():
                asked = [ListOffsetsPartition(partition_index=log.partition, timestamp=timestamp) for log in of_topic]
                request.topics.append(ListOffsetsTopic(name=name, partitions=asked))
            known = {(log.topic, log.partition): log for log in logs}
            for topic in self._admin.send(request, address).topics:
                for answer in topic.partitions:
                    _check(f"{topic.name}-{answer.partition_index}", answer.error_code)
                    offsets[known[topic.name, answer.partition_index]] = answer.offset
        return offsets

    def _fetch(
        self,
        behind: Collection[Log],
        positions: dict[Log, int],
        ends: Mapping[Log, int],
        found: list[Record],
        *,
        isolation_level: int = READ_COMMITTED,
        max_wait_ms: int = MAX_WAIT_MS,
    ) -> None:
        """One round of requests. Whatever it gets is noted in `positions` and `found`, so an error loses
        nothing.
        """
        for address, logs in self._by_leader([next(iter(behind)).topic]).items():
            wanted = [log for log in logs if log in behind]
            if not wanted:
                continue
            topic = FetchTopic(topic=wanted[0].topic, topic_id=wanted[0].topic_id)
            topic.partitions = [
                FetchPartition(partition=log.partition, fetch_offset=positions[log], partition_max_bytes=PARTITION_BYTES)
                for log in wanted
            ]
            request = FetchRequest(
                max_wait_ms=max_wait_ms, min_bytes=1, max_bytes=REQUEST_BYTES, isolation_level=isolation_level, topics=[topic]
            )
            response = self._admin.send(request, address)
            _check("the fetch", response.error_code)
            by_partition = {log.partition: log for log in wanted}
            for answer in (answer for each in response.responses for answer in each.partitions):
                log = by_partition[answer.partition_index]
                _check(f"{log.topic}-{log.partition}", answer.error_code)
                positions[log] = _take(log, answer, positions[log], ends[log], found)

    def _by_leader(self, names: Sequence[str] | None) -> dict[str, list[Log]]:
        """Partitions by the address of their leader. Raises _NotNow while one has none."""
        topics = None if names is None else [MetadataRequestTopic(name=name) for name in names]
        request = MetadataRequest(topics=topics, allow_auto_topic_creation=False)
        metadata = self._admin.send(request, self._admin.brokers()[0].address)
        addresses = {broker.node_id: address_of(broker.host, broker.port) for broker in metadata.brokers}
        logs: dict[str, list[Log]] = {}
        for topic in metadata.topics:
            # A topic that the brokers do not know is an answer; waiting for one to appear is not a reader's
            # business.
            _check(f"topic {topic.name!r}", topic.error_code, final=True)
            for partition in topic.partitions:
                if names is None and topic.is_internal:
                    continue
                address = addresses.get(partition.leader_id)
                if address is None:
                    raise _NotNow(f"{topic.name}-{partition.partition_index} has no leader")
                logs.setdefault(address, []).append(Log(str(topic.name), topic.topic_id, partition.partition_index))
        return logs

    def _until_answered(self, attempt: Callable[[], T]) -> T:
        while True:
            try:
                return attempt()
            except (OSError, DecodeError, _NotNow, AdminError) as error:
                if isinstance(error, AdminError) and error.error_code is not None:
                    raise
                if time.monotonic() > self._deadline:
                    raise AdminError(f"the logs could not be read within {self._timeout:g} s: {error}") from error
            gevent.sleep(RETRY_SECONDS)


class _NotNow(Exception):
    """Kafka's answer is that asking again will help."""


def _known(start: Mapping[Log, int], log: Log, end: int) -> int:
    position = start.get(log, 0)
    return 0 if position > end and log.topic_id == ZERO_UUID else position


def _take(log: Log, answer: PartitionData, position: int, end: int, found: list[Record]) -> int:
    """Add the answer's records that lie between `position` and `end` to `found`; where to go on."""
    data: Any = answer.records or b""
    batches = decode_batches(data)
    for batch in committed_batches(batches, answer.aborted_transactions):
        found += [
            Delivered(log.topic, each.value, each.key, each.headers, log.partition, each.timestamp_ms, each.offset)
            for each in batch.records
            if position <= each.offset < end
        ]
    return max([position, *(batch.base_offset + batch.last_offset_delta + 1 for batch in batches)])


def _by_topic(logs: Sequence[Log]) -> dict[str, list[Log]]:
    topics: dict[str, list[Log]] = {}
    for log in logs:
        topics.setdefault(log.topic, []).append(log)
    return topics


def _check(what: str, error_code: int, *, final: bool = False) -> None:
    if not error_code:
        return
    text = f"{what}: {describe(error_code)}"
    if is_retriable(error_code) and not final:
        raise _NotNow(text)
    raise AdminError(text, error_code)
