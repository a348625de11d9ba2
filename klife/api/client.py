# distutils: define_macros=CYTHON_USE_TYPE_SPECS=1
"""`Client`: what users hold.

A facade without state of its own worth losing: it has a `Handle`, which finds the engine that runs under the
client's name, and an `Append`, which takes records for it. What it tells of itself is in `client_view.py`.

All calls work from any OS thread. From the thread that started the client (its *home*, where its greenlets
run) they go straight in; from others they are carried there, which is slower. The home thread must let its
hub run: a plain `thread.join()` there, without monkey patching, stops the client too. When it ends, the
client does; the next use starts it afresh, in the thread that uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, Unpack

from klife import cython_shim as cython
from klife.actors import engines
from klife.actors.engine import Engine
from klife.actors.producer.callers_context import in_callers_context
from klife.actors.producer.delivery import BatchDelivery, Delivery
from klife.actors.producer.validation import not_a_callback
from klife.actors.runtime.forked import take_note
from klife.api import lifecycle
from klife.api.append import Append
from klife.api.client_view import ClientView
from klife.api.from_thread import call_at_home
from klife.api.handle import Handle, deadline_in
from klife.api.status import StopReport, stop_report
from klife.errors import ConfigError, FlushTimeout, NoSuchClient
from klife.record import Record
from klife.wrong_self import refuse_wrong_self, wrong_self
from klife_supervision import ChildSpec
from klife_supervision.logs import flush as flush_logs

if TYPE_CHECKING:
    from klife.api.config import ClientConfig
    from klife.api.config.keywords import ClientKeywords
    from klife.api.transaction import Transacting

if cython.compiled:
    import cython

_HOW_TO_START = "a Client is made by Client.start('localhost:9092', ...), or found by Client.get('its name')"
Callback = Callable[[Record], object]
_LOGS_WRITTEN = 1.0  # seconds that `stop` leaves for the log to be written


class Client(ClientView):
    """A Kafka client. Make one with `start`, or under a supervisor with `child_spec`, or find one with `get`."""

    __slots__ = ("_append",)

    def __init__(self, engine: Engine | None = None, *_more: object, supervised: bool = False, **_options: object) -> None:
        if not isinstance(engine, Engine) or _more or _options:
            raise TypeError(_HOW_TO_START)
        super().__init__(Handle(engine, supervised=supervised))
        self._append = _append(self._handle)

    # starting and finding

    @classmethod
    def start(
        cls, source: str | list[str] | Mapping[str, Any] | ClientConfig | None = None, /, **options: Unpack[ClientKeywords]
    ) -> Self:
        """Start a client with a supervisor of its own.

        Needs no live broker: it connects in the background, and records are accepted as soon as their topic's
        metadata is known.

        Args:
            source: bootstrap servers ("host:port,..." or a list), a dict of options, or a ClientConfig.
            options: options by name, over those of `source`.

        Raises:
            ConfigError: with one line for everything wrong.
        """
        engine = lifecycle.start(lifecycle.configured(source, **options))
        return cls(engine, supervised=False)

    @classmethod
    def child_spec(
        cls, config: str | list[str] | Mapping[str, Any] | ClientConfig | None = None, /, **options: Unpack[ClientKeywords]
    ) -> ChildSpec:
        """The client, which must be given a `name`, as a child of the user's own supervisor;
        `Client.get(name)` is the way to it.

        Stopped by the supervisor, it delivers what it has accepted first (up to 30 s). Restarted, it starts
        afresh under its name.

        Raises:
            ConfigError: with one line for everything wrong; now, not at the start.
        """
        checked = lifecycle.configured(config, **options)
        if checked.run_in != "home":
            raise ConfigError(["run_in: under a supervisor a client runs in that one's hub; leave it out, or use Client.start"])
        if checked.name is None:
            raise ConfigError(["name: a client under a supervisor needs one, so that Client.get can find it; give name='...'"])

        return lifecycle.child_spec(checked, checked.name)

    @classmethod
    def get(cls, name: str) -> Self:
        """The client of that name, wherever it was started in this process. Goes on working when the client
        is restarted.

        Raises:
            NoSuchClient: there is none.
            ClientClosed: it was started before a fork, and its `on_fork` is "raise".
        """
        engine = lifecycle.find(name)
        if engine is None:
            raise NoSuchClient(f"there is no client named {name!r} in this process; start it first, with name={name!r}")
        return cls(engine, supervised=not engine.after_fork)

    def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until the cluster has answered and every idempotent producer has its id.

        Raises:
            NotReady: not within `timeout` seconds; the text says what each address answered.
            ClientClosed: the client was stopped.
        """
        engine = self._handle.current(deadline_in(timeout), so="")
        if not self._handle.is_at_home:
            self._handle.from_thread(lambda: self.wait_ready(timeout), timeout, so="")
            return
        lifecycle.wait_ready(engine, timeout)

    # producing

    @cython.locals(append="Append")
    def produce(self, record: Record[Any, Any], *, producer: str | None = None, partitioner: Any = None) -> Delivery:
        """Queue a record and return its delivery; `.get()` waits for the offset.

        `producer` is the name of one of the client's producers, `partitioner` an object like a `Partitioner`:
        for this record, in place of its topic's and the client's defaults.

        May wait, at most `max_block_ms`: for the metadata of a topic seen the first time, for a partition
        that may just have been added, and for buffer space.

        Raises:
            InvalidRecordType, InvalidRecordValue: a field is wrong (TypeError and ValueError).
            SerializationError: a serializer of the topic made no bytes of its key or value.
            UnknownTopic: the cluster does not know the topic. ProduceError: it will not tell about it (no
                permission).
            UnknownPartition: the topic does not have that many partitions.
            BrokersUnreachable: no broker answered.
            BufferFull: no room. RecordTooLarge: for the whole buffer. ClientClosed: the client was stopped.
            In all these cases nothing was queued.
        """
        try:
            append = self._append
        except AttributeError as error:
            raise wrong_self(Client, "produce", self, error) from None
        accepted: Delivery | None = append.accepted(record, producer, partitioner, True, None)
        if accepted is not None:
            return accepted
        delivery: Delivery = append.elsewhere(record, producer, partitioner, True, None)
        return delivery

    @cython.locals(append="Append")
    def produce_async(
        self, record: Record[Any, Any], callback: Callback | None = None, *, producer: str | None = None, partitioner: Any = None
    ) -> None:
        """Queue a record; `callback(result)`, if given, is called with the result record, delivered or not.

        No future is made. Callbacks of a partition run in order, in a greenlet apart from the I/O; one that
        raises is logged. Waits and raises as `produce`.
        """
        try:
            append = self._append
        except AttributeError as error:
            raise wrong_self(Client, "produce_async", self, error) from None
        if callback is not None and not callable(callback):
            raise not_a_callback(callback)
        if callback is not None:
            callback = in_callers_context(callback)
        if append.accepted(record, producer, partitioner, False, callback) is None:
            append.elsewhere(record, producer, partitioner, False, callback)

    def produce_batch(
        self, records: Iterable[Record[Any, Any]], *, producer: str | None = None, partitioner: Any = None
    ) -> BatchDelivery:
        """Queue records of any topics and partitions; `.get()` returns one result for each, in input order,
        and raises for none.

        Every record is checked before any is queued. One whose topic is unknown, or for which no room comes
        free within `max_block_ms` (of the whole call), or whose partition does not exist, has that as its
        result's `error`; the others are delivered. A kill or a `gevent.Timeout` that ends the call while it
        waits leaves on their way those that were queued.

        Raises:
            InvalidRecordType, InvalidRecordValue: a record's field is wrong; the text tells which record.
                Nothing was queued.
            SerializationError: a serializer made no bytes of one; the same.
            ClientClosed: the client was stopped.
        """
        checked = self._append.checked(records)
        transaction = self._append.open_transaction()
        if transaction is not None:
            return BatchDelivery(self._append.join_all(transaction, checked, producer, partitioner))
        if not self._handle.is_at_home:
            batch_delivery: BatchDelivery = self._append.from_thread(
                lambda: BatchDelivery(self._append.take(checked, producer, partitioner))
            )
            return batch_delivery
        return BatchDelivery(self._append.take(checked, producer, partitioner))

    def produce_batch_async(
        self,
        records: Iterable[Record[Any, Any]],
        callback: Callable[[list[Record]], object] | None = None,
        *,
        producer: str | None = None,
        partitioner: Any = None,
    ) -> None:
        """Queue records as `produce_batch`; `callback(results)`, if given, is called once with all results,
        in input order.
        """
        if callback is not None and not callable(callback):
            raise not_a_callback(callback)
        delivery = self.produce_batch(records, producer=producer, partitioner=partitioner)
        if callback is not None:
            delivery.add_done_callback(lambda done: callback(done.get()))
            exiting = self._handle.engine.exiting
            if exiting is not None:
                exiting()

    # transactions

    @property
    def transaction(self) -> Transacting:
        """Called, it is a transaction for a `with` block, or one around a call: see `Transacting`."""
        from klife.api.transaction import Transacting  # with all of transactions; by who has them

        return Transacting(self._append.handle, self._append)

    def produce_batch_txn(self, records: Iterable[Record[Any, Any]], *, pool: str | None = None) -> list[Record]:
        """Produce `records` in a transaction of their own; returns their results, once it is committed.
        Raises as `transaction`.
        """
        with self.transaction(pool=pool) as transaction:
            delivery = transaction.produce_batch(records)
        results: list[Record] = delivery.get()
        return results

    # finishing

    def flush(self, timeout: float | None = None) -> None:
        """Send what is queued, without lingering, and wait until all of it (and its callbacks) is settled.

        Records produced meanwhile are not waited for. Without `timeout` the producers' `delivery_timeout_ms`
        is the bound. Callbacks that are not through by then are no error, and logged
        (`callbacks_still_running`).

        Raises:
            FlushTimeout: `undelivered` records were not settled within `timeout` seconds; they go on being
                delivered.
        """
        engine = self._handle.current(so="")
        if timeout is None:
            timeout = 1.0 + engine.longest_wait
        deadline = deadline_in(timeout)
        if self._handle.is_at_home:
            left = engine.flush(deadline)
        else:
            in_callback = engine.calls_back_here
            left = self._handle.from_thread(lambda: engine.flush(deadline, in_callback=in_callback), timeout, so="")
        if left:
            raise FlushTimeout(left, timeout)

    def stop(self, timeout: float = 30.0) -> StopReport:
        """Take no more records, deliver what was accepted, end all actors; returns within `timeout` seconds
        (and a little).

        What the brokers have not confirmed by then is settled as failed or possibly persisted, counted in the
        report, and logged. Stopping a stopped client returns the report again. A client under a supervisor is
        stopped for good only by that. In a forked child this stops what the child has started by using the
        client, and never the parent's.
        """
        take_note()
        deadline_in(timeout)  # refused here, and not at home
        handle = self._handle
        if handle.is_left_behind and not handle.finds_successor():
            engines.forget_inherited(handle.name)
            return stop_report(handle.engine) if handle.engine.orphaned else StopReport(delivered=0, failed=0, undelivered=0)
        engine = handle.engine
        if engine.finished.is_set:
            return stop_report(engine)
        if not handle.is_at_home:
            engine.refuse_stop()  # also in a hub of another thread, whose caller could not wait for it
            in_callback = engine.calls_back_here
            call_at_home(engine, lambda: _stop_here(engine, timeout, in_callback), timeout)
            if engine.has_own_thread and not in_callback:
                from klife.api.own_thread import wait_for_end  # there already

                wait_for_end(engine)
        else:
            _stop_here(engine, timeout, None)
        return stop_report(engine)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.stop()


def _stop_here(engine: Engine, timeout: float, in_callback: bool | None) -> None:
    engine.stop(timeout, in_callback=in_callback)
    flush_logs(_LOGS_WRITTEN)


def _append(handle: Handle) -> Append:
    settings = handle.engine.settings
    observer = settings.observer
    if observer is not None and not observer.sees_records:
        observer = None
    if settings.topic_serializers:
        from klife.api.serialising_append import ObservedSerialisingAppend, SerialisingAppend  # by clients that have serializers

        return SerialisingAppend(handle) if observer is None else ObservedSerialisingAppend(handle, observer)
    if observer is None:
        return Append(handle)
    from klife.api.observed_append import ObservedAppend  # by clients whose hooks want to see records

    return ObservedAppend(handle, observer)


if not cython.compiled:
    refuse_wrong_self(Client, "produce", "produce_async")
