"""Hooks: what a client does, told while it does it. Metrics and traces are made of them.

    class Log(Hooks):
        def on_failed(self, batch: FailedBatch) -> None:
            print(batch.topic, batch.records, batch.error)

    Client.start("localhost:9092", hooks=[Log()])

Override what you want to hear of. What nobody overrides costs nothing: which methods a class has is looked up
once, when a client starts.

`on_produce` and `on_refused` are called by who produces, in its greenlet or thread. The others are called
between two things that the client does for its records, so they must not wait, and return within some
microseconds. What a hook raises is logged (`hook_failed`), and harms nothing.

All times are seconds. `client` and `producer` are names; `broker` is a node id, or None for an address of
`bootstrap_servers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from klife.errors import KlifeError, ProduceError
    from klife.record import Record


class DeliveredBatch(NamedTuple):
    """Records of one partition that the brokers have confirmed."""

    client: str
    producer: str
    topic: str
    partition: int
    records: int
    bytes: int
    """As `max_buffered_bytes` counts them; without compression about what goes over the wire."""
    seconds: float
    """Since the first of them was produced."""
    offset: int | None
    """Of the first; None where the broker did not say."""
    batch: Any
    """klife's own; `results` has its records."""

    def results(self) -> Iterator[Record]:
        """The result of each record, in order. Made when it is asked for: as dear as the records are many."""
        return _results(self.batch)


class FailedBatch(NamedTuple):
    """Records of one partition that failed, or whose fate is unknown (`error.possibly_persisted`)."""

    client: str
    producer: str
    topic: str
    partition: int
    records: int
    bytes: int
    seconds: float
    error: ProduceError
    batch: Any

    def results(self) -> Iterator[Record]:
        """As `DeliveredBatch.results`."""
        return _results(self.batch)


class Request(NamedTuple):
    """A request that was answered, or that never will be (`error` says why)."""

    client: str
    broker: int | None
    address: str
    api: str
    """Kafka's name of it: "Produce", "Metadata" and so on."""
    seconds: float
    error: str | None


class Retry(NamedTuple):
    """Records that are sent once more; `error` is what became of them this time."""

    client: str
    producer: str
    topic: str
    partition: int
    records: int
    attempt: int
    """How often they have been sent by now."""
    error: str


class Connection(NamedTuple):
    """A connection that is ready for requests; that failed, and is tried again; or that nobody needed."""

    client: str
    broker: int | None
    address: str
    state: Literal["ready", "failed", "closed"]
    reason: str | None


class Throttle(NamedTuple):
    """A broker has us wait, for a quota."""

    client: str
    broker: int | None
    address: str
    seconds: float


class Compression(NamedTuple):
    """A batch was compressed from `bytes` to `compressed_bytes`, in so many seconds (of any thread)."""

    client: str
    producer: str
    topic: str
    codec: str
    bytes: int
    compressed_bytes: int
    seconds: float


class BufferWait(NamedTuple):
    """A caller of `produce` has waited for room in `max_buffered_bytes`; in vain, if it was not `granted`."""

    client: str
    producer: str
    topic: str
    seconds: float
    granted: bool


class Sample(NamedTuple):
    """A client at one moment, once a second."""

    client: str
    buffer_bytes: int
    max_buffered_bytes: int
    waiting_for_buffer: int
    unsettled: int
    """Records without an outcome."""
    oldest_unsettled: float
    """How old the oldest of them is; 0 where there is none."""
    brokers_connected: int
    hub_gap: float
    """The longest time, since the sample before, for which the hub did not run."""


class Hooks:
    """What hears of a client. Every method of this class does nothing."""

    def on_produce(self, record: Record[Any, Any]) -> Record[Any, Any]:
        """A record is about to be produced: return it, or another one in its place, with headers of your own
        for example. Where it was called from: greenlet, thread and `contextvars` are the caller's. Where its topic
        has serializers, they come after this.
        """
        return record

    def on_refused(self, record: Record[Any, Any], error: KlifeError | BaseException) -> None:
        """`record`, which `on_produce` returned, was not queued: `produce` raises `error`, or the result in a
        `produce_batch` has it.
        """

    def on_delivered(self, batch: DeliveredBatch) -> None:
        """Records were delivered."""

    def on_failed(self, batch: FailedBatch) -> None:
        """Records failed."""

    def on_request(self, request: Request) -> None:
        """A request has its answer, or will never have one."""

    def on_retry(self, retry: Retry) -> None:
        """Records are sent once more."""

    def on_connection(self, connection: Connection) -> None:
        """A connection was made, lost or closed."""

    def on_throttle(self, throttle: Throttle) -> None:
        """A broker has us wait."""

    def on_compression(self, compression: Compression) -> None:
        """A batch was compressed."""

    def on_buffer_wait(self, wait: BufferWait) -> None:
        """A caller has waited for room."""

    def on_sample(self, sample: Sample) -> None:
        """A second has passed, or the client has ended."""


def _results(batch: Any) -> Iterator[Record]:
    whole = batch.root or batch
    for place in range(batch.count) if batch.positions is None else batch.positions:
        yield whole.result(place)
