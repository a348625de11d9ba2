"""Every error a user of klife can meet, in one tree under `KlifeError`.

An error says what happened, names the offending value's type (never a key, a value or a secret), and says
what to do. Two facts are carried as attributes because programs decide by them:

- `retriable`: the same call may succeed later without a change on the user's side.
- `possibly_persisted`: the client cannot know whether the record is in the log. False means it certainly is
  not.
- `possibly_committed`: the same of a transaction, whose records are visible all together or not at all.

`WaitTimeout`, which is also a `pykka.Timeout`, lives with the futures in `klife.actors.runtime.future`: this
module is a leaf that even the sans-IO protocol may import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from klife.words import counted, were

if TYPE_CHECKING:
    from collections.abc import Sequence


class KlifeError(Exception):
    """Root of all errors raised by klife. All can be copied and pickled, as they stand (without `__cause__`
    and traceback).
    """

    retriable = False

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception's own way calls the class with `args`, which are the text; many constructors here take
        # something else.
        return _as_it_stood, (type(self), self.args), self.__dict__ or None


def _as_it_stood(cls: type[KlifeError], args: tuple[Any, ...]) -> KlifeError:
    error = cls.__new__(cls, *args)
    error.args = args  # a TimeoutError leaves that to the constructor
    return error


class ConfigError(KlifeError, ValueError):
    """The configuration is wrong; `problems` lists everything that is, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems: tuple[str, ...] = tuple(problems)
        count = len(self.problems)
        head = "invalid configuration" if count == 1 else f"invalid configuration, {count} problems"
        super().__init__(head + ":\n" + "\n".join(f"  - {problem}" for problem in self.problems))


class InvalidRecordType(KlifeError, TypeError):
    """A record's field has the wrong type. Nothing was queued."""


class InvalidRecordValue(KlifeError, ValueError):
    """A record's field has the right type and an impossible value. Nothing was queued."""


class NotReady(KlifeError, TimeoutError):
    """`wait_ready` ended before the cluster could be used; the text says what each address answered."""

    retriable = True


class ClientClosed(KlifeError, RuntimeError):
    """The client was stopped (or gave up); start a new one."""


class NoSuchClient(KlifeError, LookupError):
    """`Client.get(name)` found no client of that name."""


class FlushTimeout(KlifeError, TimeoutError):
    """`flush` ended before everything was settled; `undelivered` records are still on their way."""

    retriable = True

    def __init__(self, undelivered: int, timeout: float) -> None:
        self.undelivered = undelivered
        super().__init__(
            f"{counted(undelivered, 'record')} {were(undelivered)} not settled within {timeout:g} s. Delivery goes on, of each until "
            "its delivery_timeout_ms; call flush() again with more time, or look at client.status() for what holds them."
        )


class ForkedDelivery(KlifeError, RuntimeError):
    """A delivery made before a fork was waited on in the child. It is the parent's to settle."""

    def __init__(self) -> None:
        super().__init__(
            "the record was produced in the process this one was forked from, which delivers it and learns its outcome; "
            "wait for it there, or produce in this process what this process needs"
        )


class ProduceError(KlifeError):
    """A record was not, or not certainly, written.

    `error_code` is Kafka's code for what the brokers refused last, or None where they refused nothing and the
    client itself gave up. See the module docstring for `retriable` and `possibly_persisted`.
    """

    def __init__(
        self,
        message: str,
        *,
        topic: str | None = None,
        partition: int | None = None,
        error_code: int | None = None,
        retriable: bool = False,
        possibly_persisted: bool = False,
    ) -> None:
        super().__init__(message)
        self.topic = topic
        self.partition = partition
        self.error_code = error_code
        self.retriable = retriable
        self.possibly_persisted = possibly_persisted

    def copy(self) -> Self:
        """The same error as an object of its own, which may be raised: many may be told of what befell a
        batch, and each who raises it leaves a traceback in it.
        """
        copy = type(self).__new__(type(self), *self.args)
        copy.__dict__.update(self.__dict__)
        if self.__cause__ is not None:
            copy.__cause__ = self.__cause__
        return copy


class UnknownTopic(ProduceError):
    """The cluster said for `unknown_topic_ms` that it has no such topic, or did not within `max_block_ms`. Nothing was queued."""


class UnknownPartition(UnknownTopic, InvalidRecordValue):
    """The topic has fewer partitions than the record's number asks for (or the partitioner's), and got no
    more within `max_block_ms`.

    Retriable, because one that was just added may not be known yet; and a ValueError, because mostly the
    number is wrong. Nothing was queued.
    """


class BrokersUnreachable(ProduceError):
    """No broker was reached within `max_block_ms`, so nothing is known of the topic; the text names each
    address and what happened there. Nothing was queued, and the same call may succeed when a broker is back.
    """


class BufferFull(ProduceError):
    """`max_buffered_bytes` are waiting for the brokers, and no room came free within `max_block_ms`. Nothing
    was queued.
    """


class RecordTooLarge(ProduceError):
    """One record alone is over a limit; `size` and `limit` are bytes (`limit` None where the broker does not
    tell it).
    """

    def __init__(
        self,
        message: str,
        *,
        size: int,
        limit: int | None,
        topic: str | None = None,
        partition: int | None = None,
        error_code: int | None = None,
    ) -> None:
        super().__init__(message, topic=topic, partition=partition, error_code=error_code)
        self.size = size
        self.limit = limit


class SerializationError(ProduceError):
    """A topic's `key_serializer` or `value_serializer` made no bytes of a record's `field`, "key" or "value". What it
    raised is the `__cause__`; the text has types alone. Nothing was queued.
    """

    def __init__(self, message: str, *, topic: str, field: str, retriable: bool = False) -> None:
        super().__init__(message, topic=topic, retriable=retriable)
        self.field = field

    def of(self, which: str) -> SerializationError:
        """The same, for one of several records: `which` says for which one."""
        return SerializationError(f"{which}: {self}", topic=str(self.topic), field=self.field, retriable=self.retriable)


class DeliveryTimeout(ProduceError):
    """`delivery_timeout_ms` ran out; the text says what was in the way, and `error_code` is that of the
    brokers' last refusal.

    `possibly_persisted` is False where the record was never sent, True where it was in flight.
    """


class RecordResult(Protocol):
    """What errors know of a result record (`klife.Record`), which knows them: no import goes both ways."""

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int | None
    timestamp_ms: int | None
    offset: int | None
    error: ProduceError | None
    error_code: int | None


class BatchError(KlifeError):
    """Some records of a batch were not delivered. `delivered` and `failed` are the result records, each in
    input order.
    """

    def __init__(self, delivered: Sequence[RecordResult], failed: Sequence[RecordResult]) -> None:
        self.delivered: list[RecordResult] = list(delivered)
        self.failed: list[RecordResult] = list(failed)
        first = self.failed[0].error
        super().__init__(
            f"{len(self.failed)} of {counted(len(self.failed) + len(self.delivered), 'record')} {were(len(self.failed))} not "
            f"delivered; the first error: {first}"
        )

    @property
    def possibly_persisted(self) -> bool:
        """Whether the fate of any failed record is unknown."""
        return any(record.error is not None and record.error.possibly_persisted for record in self.failed)


class TransactionError(KlifeError):
    """A transaction did not commit, or (`possibly_committed`) it is not known whether it did.

    `pool` and `transactional_id` say whose it was, and `error_code` is Kafka's code for what the brokers
    refused, or None where they refused nothing. See the module docstring for `retriable` and
    `possibly_committed`.
    """

    def __init__(
        self,
        message: str,
        *,
        pool: str | None = None,
        transactional_id: str | None = None,
        error_code: int | None = None,
        retriable: bool = False,
        possibly_committed: bool = False,
    ) -> None:
        super().__init__(message)
        self.pool = pool
        self.transactional_id = transactional_id
        self.error_code = error_code
        self.retriable = retriable
        self.possibly_committed = possibly_committed


class TransactionAborted(TransactionError):
    """The transaction was aborted: none of its records will be seen by a reader of committed ones. The text
    says why.

    Run it again, all of it, in a new transaction. `retriable` is False where that ends the same way until
    somebody helps (a record too large, a missing permission).
    """

    def __init__(
        self,
        message: str,
        *,
        pool: str | None = None,
        transactional_id: str | None = None,
        error_code: int | None = None,
        retriable: bool = True,
    ) -> None:
        super().__init__(message, pool=pool, transactional_id=transactional_id, error_code=error_code, retriable=retriable)


class TransactionFenced(TransactionError):
    """Another producer took over the transactional id, and with it ended the transaction. So it goes on: the
    pool is of no use any more in this process, and each `transaction()` of it raises this.
    """

    def __init__(
        self, transactional_id: str, *, pool: str | None = None, error_code: int | None = None, possibly_committed: bool = False
    ) -> None:
        unsure = (
            " The commit was sent, and its answer was lost: check whether the transaction is there before running it again."
            if possibly_committed
            else " The transaction was aborted."
        )
        super().__init__(
            f"the transactional id {transactional_id!r} was taken over by another producer.{unsure} Either another process has "
            "the same base_txn_id: give each its own (in web workers, one made of the worker's number). Or this process was "
            "replaced by a newer copy of itself while it was away or being stopped: let it end.",
            pool=pool,
            transactional_id=transactional_id,
            error_code=error_code,
            possibly_committed=possibly_committed,
        )


class PoolExhausted(TransactionError, TimeoutError):
    """All producers of a pool stayed out for `checkout_timeout_ms`. Nothing was begun.

    `size` is `pool_size`, and `ages` has for how many seconds each open transaction has been so, the oldest
    first.
    """

    def __init__(self, pool: str, size: int, timeout: float, ages: Sequence[float]) -> None:
        self.size = size
        self.ages: tuple[float, ...] = tuple(sorted(ages, reverse=True))
        shown = ", ".join(f"{age:.1f} s" for age in self.ages[:20]) + (", ..." if len(self.ages) > 20 else "")
        super().__init__(
            f"no transaction could be begun within {timeout:g} s: the {size} that the pool {pool!r} may have open at once are "
            f"(open for {shown}). Run it again later; keep transactions short; or raise pool_size, or checkout_timeout_ms",
            pool=pool,
            retriable=True,
        )


class TransactionMisused(TransactionError, RuntimeError):
    """The call does not fit where it was made: a transaction within a transaction, one that has ended, or one
    of the process this one was forked from. Nothing was queued, and an open transaction is as it was.
    """


class AdminError(KlifeError, RuntimeError):
    """The brokers refused a request of an `AdminClient`, or did not answer or agree in time.

    `error_code` is Kafka's code, or None where no broker gave one.
    """

    def __init__(self, message: str, error_code: int | None = None) -> None:
        super().__init__(message)
        self.error_code = error_code
