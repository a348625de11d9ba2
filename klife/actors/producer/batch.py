"""`Batch`: the records of one partition that travel together, and what became of them.

A batch is both the unit on the wire and the thing callers wait for. A `Delivery` is nothing but (batch,
index); settling a batch wakes all its waiters at once and costs nothing per record: the result records are
built when somebody asks.

Rarely, a batch must be taken apart: it is too large for the broker, or some of its records are refused
(KIP-467). Then the pieces are child batches that share the root's fate bookkeeping: each reports the outcome
of its records to the root, and the root is done when the last record is. Callers keep waiting on the root and
never notice.

States: open (growing) -> queued (closed, waiting for its turn) -> in flight <-> queued (retries) -> settled.
The clock for its delivery timeout starts when the batch is opened, at its first record.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from klife import cython_shim as cython
from klife.actors.producer.identity import Identity
from klife.actors.runtime.hub_pause import UNASKED, HubStandsStill, hub_stands_still, wait_while_hub_runs
from klife.actors.runtime.latch import Latch
from klife.errors import DeliveryTimeout, ForkedDelivery, ProduceError
from klife.protocol.primitives import INT32_MAX
from klife.protocol.records import EncodedBatch, Fields, size_bound
from klife.record import Delivered, Record, Undelivered

if cython.compiled:
    import cython
    from cython.cimports.klife.capi import PyObject_GC_UnTrack

if TYPE_CHECKING:
    from klife.actors.producer.terms import Terms

_GRACE = 5.0  # seconds that other threads wait beyond the delivery timeout, for a home that is only busy
_new_delivered: Any = partial(object.__new__, Delivered)  # in Python quicker than what it stands for
Callback = Callable[[Record], object]
Outcome = tuple[int | None, int, ProduceError | None]


class Batch(Latch):
    """Records of one partition, in order."""

    # What most batches never set, as in `Latch`.
    if not cython.compiled:
        callbacks: list[Callback] | None = None
        indices: list[int] | None = None  # whose results they want
        # on the wire
        in_flight: bool = False
        identity: Identity | None = None
        attempts: int = 0
        fate_unknown: bool = False  # some attempt ended without the broker's answer
        sequence_refused: bool = False  # sent again, and out of order: not in the log, or forgotten for newer ones
        wire: EncodedBatch | None = None
        ahead: Any = None  # its `CompressedAhead`, until that goes into `wire`
        # the outcome
        base_offset: int | None = None
        # pieces
        root: Batch | None = None
        positions: Sequence[int] | None = None  # of a piece: where its records stand in the root
        missing: int = 0

    def __init__(self, topic: str, partition_id: int, terms: Terms, created: float, ordinal: int) -> None:
        if cython.compiled:
            # The collector need not visit it: it is in a circle only until it is settled, as each one is.
            PyObject_GC_UnTrack(self)
        self._home = terms.home  # what Latch.__init__ does; a call less for each batch
        self.topic = topic
        self.partition_id = partition_id
        self.terms = terms
        self.created = created
        self.fields: Fields = _unvisited() if cython.compiled else []  # a call less, as above
        self.count = 0  # records
        self.size = 0
        self.ordinal = ordinal  # its place among the partition's batches, from 1; 0 until it is opened
        self.sequence = -1
        self.append_time_ms = -1
        if not cython.compiled:  # Python finds them sooner here than in the class, and each result asks for them
            self.error: ProduceError | None = None
            self.outcomes: list[Outcome | None] | None = None  # of a root in pieces

    def order(self) -> tuple[int, int]:
        """Where this batch, or a piece of one, stands among those of its partition."""
        return self.ordinal, self.positions[0] if self.positions else 0

    def _wait_elsewhere(self, hub: Any, current: Any, timeout: float | None) -> bool:
        """As a latch does, but no longer than the delivery timeout and a little, and no longer than the home's
        hub runs: without it nothing ends this.

        Raises:
            ProduceError: the hub stands still. The records are still on their way, whenever it goes on.
            DeliveryTimeout: nothing has ended it.
        """
        left = max(self.created + self.terms.delivery_timeout + _GRACE - monotonic(), 0.0)
        if timeout is not None and timeout <= left:
            left = timeout

        if Latch._wait_elsewhere(self, hub, current, min(left, UNASKED)):
            return True
        wait = partial(Latch._wait_elsewhere, self, hub, current)
        try:
            if wait_while_hub_runs(wait, self.terms.home, left - UNASKED) or self.is_set:
                return True
        except HubStandsStill as pause:
            raise self._on_their_way(pause.seconds) from None
        if timeout == left:
            return False
        raise self._never_ended()

    def _on_their_way(self, still: float) -> ProduceError:
        return ProduceError(
            f"records of {self.topic}-{self.partition_id} are not settled: {hub_stands_still(self.terms.home, still)} for them. They "
            "are on their way as soon as it runs, and may be in the log: wait again, or check before sending them again.",
            topic=self.topic,
            partition=self.partition_id,
            retriable=True,
            possibly_persisted=True,
        )

    def _never_ended(self) -> DeliveryTimeout:
        terms = self.terms
        unknown = self.in_flight or self.fate_unknown or self.outcomes is not None
        still = hub_stands_still(terms.home, monotonic() - terms.hub_ran_at)
        return DeliveryTimeout(
            f"records of {self.topic}-{self.partition_id} were not settled within delivery_timeout_ms "
            f"({terms.delivery_timeout * 1000:g} ms) and {_GRACE:g} s more: {still}. {what_to_do(unknown)}",
            topic=self.topic,
            partition=self.partition_id,
            retriable=True,
            possibly_persisted=unknown,
        )

    def expect_callbacks(self) -> None:
        """Have empty `callbacks` and their `indices`."""
        self.callbacks = []
        self.indices = _unvisited()

    def add_callback(self, index: int, callback: Callback) -> None:
        """Note that `callback` wants the result at `index`."""
        if self.callbacks is None:
            self.expect_callbacks()
        self.indices.append(index)  # type: ignore[union-attr]
        self.callbacks.append(callback)  # type: ignore[union-attr]

    @cython.locals(result="Delivered", fields=list, at=cython.Py_ssize_t, first="long long")
    def result(self, index: int) -> Record:
        """The result record at `index`. Only for a settled batch.

        Raises:
            ForkedDelivery: this is the copy that a forked child has of a batch its parent delivers.
        """
        fields, at = self.fields, 4 * index
        try:
            key, value, headers, timestamp_ms = fields[at], fields[at + 1], fields[at + 2], fields[at + 3]
        except IndexError:  # the child has let go of the records; see `klife.actors.after_fork`
            raise ForkedDelivery from None
        if self.outcomes is None:
            offset, append_time_ms, error = self.base_offset, self.append_time_ms, self.error
            if offset is not None:
                first = offset  # to C a number
                offset = first + index
        else:
            outcome = self.outcomes[index]
            assert outcome is not None
            offset, append_time_ms, error = outcome
        if append_time_ms != -1:  # the topic has LogAppendTime: the broker's clock is the record's timestamp
            timestamp_ms = append_time_ms
        if error is not None:
            # Whoever raises it must not tie this batch to all that was going on at the time: a `Delivery` can
            # not be in a circle.
            return Undelivered(self.topic, value, key, headers, self.partition_id, timestamp_ms, error.copy())
        # What the constructor does; a call less for each result.
        result = Delivered.__new__(Delivered) if cython.compiled else _new_delivered()
        result.topic = self.topic
        result.value = value
        result.key = key
        result.headers = headers
        result.partition = self.partition_id
        result.timestamp_ms = timestamp_ms
        result.offset = offset
        return result

    def piece(self, indices: Sequence[int]) -> Batch:
        """A child batch of the records at `indices`, of the same age, to be sent or failed by itself."""
        root = self.root or self
        if root.outcomes is None:
            root.outcomes = [None] * root.count
            root.missing = root.count
            root.wire = None  # it is not sent again as a whole
        child = Batch(self.topic, self.partition_id, self.terms, self.created, self.ordinal)
        child.root = root
        child.positions = [self.positions[i] for i in indices] if self.positions is not None else list(indices)
        child.count = len(indices)
        for i in indices:
            record = self.fields[4 * i : 4 * i + 4]
            child.fields += record
            child.size += size_bound(*record[:3])
        child.attempts = self.attempts + 1  # a piece is always a second attempt, and retries leave one at a time
        child.fate_unknown = self.fate_unknown
        return child

    def halves(self) -> list[Batch]:
        """Two child batches, of several records. Nothing of this one was written, so its sequences still hold
        for them.
        """
        middle = self.count // 2
        halves = [self.piece(range(middle)), self.piece(range(middle, self.count))]
        if self.identity is not None:
            for half, offset in zip(halves, (0, middle), strict=True):
                half.identity = self.identity
                half.sequence = (self.sequence + offset) & INT32_MAX  # sequences wrap
        return halves

    def report(self, base_offset: int | None, append_time_ms: int, error: ProduceError | None) -> None:
        """Note a piece's outcome at its root. Its records are `missing` there until the piece is set."""
        root = self.root
        assert root is not None
        assert root.outcomes is not None
        assert self.positions is not None
        for index, position in enumerate(self.positions):
            root.outcomes[position] = (None if base_offset is None else base_offset + index, append_time_ms, error)


def what_to_do(possibly_persisted: bool) -> str:
    """The end of a timeout's text: whether its records may be sent again."""
    if possibly_persisted:
        return "They may be in the log: check before sending them again."
    return "They were not written, and may be sent again."


@cython.cfunc
@cython.returns(list)
def _unvisited() -> list[Any]:
    """An empty list, for what can not be part of a circle: bytes, numbers, text. In the compiled core the
    collector leaves it out.
    """
    items: list[Any] = []
    if cython.compiled:
        PyObject_GC_UnTrack(items)
    return items


if not cython.compiled:
    # Python keeps the names of their fields once for all batches, as long as the first ones have the same: a
    # batch with another has a dict of its own, which takes longer to fill than all the rest. So the first has
    # what most will have.
    _first: Any = Batch.__new__(Batch)
    for _name in (
        *("_home", "topic", "partition_id", "terms", "created", "fields", "count", "size", "ordinal", "sequence", "append_time_ms"),
        *("identity", "in_flight", "wire", "is_set", "base_offset", "_wakeups", "_greenlets", "_locks", "callbacks", "indices"),
        *("error", "outcomes", "attempts", "fate_unknown", "ahead"),
    ):
        setattr(_first, _name, None)
