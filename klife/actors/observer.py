"""`Observer`: passes on what happens in a client to the hooks that want to hear of it.

It is made once, when a client starts, and only if there are hooks; who has something to tell finds it in its
settings, and None where there is nobody. Which methods a hook overrides is looked up here, so that what nobody
wants to hear of is not even put into words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Any

from gevent import GreenletExit

from klife.hooks import BufferWait, Compression, Connection, DeliveredBatch, FailedBatch, Hooks, Request, Retry, Sample, Throttle
from klife.protocol.api_keys import api_name
from klife.record import Record
from klife.words import kind_of
from klife_supervision.logs import Logger, get_logger, traceback_of

if TYPE_CHECKING:
    from klife.actors.network.broker import Broker
    from klife.actors.network.call import Call
    from klife.actors.producer.batch import Batch

log: Logger = get_logger("klife")

_api_name = cache(api_name)  # which looks it up in an enumeration: longer than all the rest
Methods = tuple[Callable[..., Any], ...]


class Observer:
    """The hooks of one client, by what they override."""

    def __init__(self, client: str, hooks: Sequence[Hooks]) -> None:
        self.client = client
        self.on_produce: Methods = _overridden(hooks, "on_produce")
        self.on_refused: Methods = _overridden(hooks, "on_refused")
        self.on_delivered: Methods = _overridden(hooks, "on_delivered")
        self.on_failed: Methods = _overridden(hooks, "on_failed")
        self.on_request: Methods = _overridden(hooks, "on_request")
        self.on_retry: Methods = _overridden(hooks, "on_retry")
        self.on_connection: Methods = _overridden(hooks, "on_connection")
        self.on_throttle: Methods = _overridden(hooks, "on_throttle")
        self.on_compression: Methods = _overridden(hooks, "on_compression")
        self.on_buffer_wait: Methods = _overridden(hooks, "on_buffer_wait")
        self.on_sample: Methods = _overridden(hooks, "on_sample")

    # by who produces

    @property
    def sees_records(self) -> bool:
        """Whether each record is to be shown before it is produced, or when it could not be."""
        return bool(self.on_produce or self.on_refused)

    def shown(self, record: Any) -> Any:
        """`record`, or what the hooks have in its place."""
        if not isinstance(record, Record):
            return record  # and `produce` says so
        for method in self.on_produce:
            try:
                answer = method(record)
                if not isinstance(answer, Record):
                    raise TypeError(f"on_produce returned {kind_of(answer)}; expected a Record")
            except Exception as error:  # noqa: BLE001 - it harms nothing; what ends the caller's greenlet is the caller's
                self._failed(method, error)
            else:
                record = answer
        return record

    def refused(self, record: Any, error: BaseException) -> None:
        self._tell(self.on_refused, record, error)

    # by the client's own greenlets

    @property
    def sees_outcomes(self) -> bool:
        return bool(self.on_delivered or self.on_failed)

    def settled(self, producer: str, batch: Batch, size: int, offset: int | None, error: Any) -> None:
        """`batch`, which had `size` bytes, has its outcome."""
        seconds = monotonic() - batch.created
        if error is None:
            if self.on_delivered:
                # Once a batch: so without the calls that a named tuple, and `_tell`, would take.
                told = tuple.__new__(
                    DeliveredBatch, (self.client, producer, batch.topic, batch.partition_id, batch.count, size, seconds, offset, batch)
                )
                for method in self.on_delivered:
                    try:
                        method(told)
                    except (GreenletExit, KeyboardInterrupt, SystemExit):
                        raise
                    except BaseException as raised:  # noqa: BLE001 - as in `_tell`
                        self._failed(method, raised)
        elif self.on_failed:
            failed = FailedBatch(
                self.client, producer, batch.topic, batch.partition_id, batch.count, size, seconds, error.copy(), batch
            )
            self._tell(self.on_failed, failed)

    def answered(self, broker: Broker, call: Call, now: float) -> None:
        """`call` is done."""
        if self.on_request:
            error = None if call.error is None else str(call.error)
            api = _api_name(call.request.API_KEY)
            told = tuple.__new__(
                Request, (self.client, broker.told_id, broker.address, api, now - call.sent_at, error)
            )  # as in `settled`
            self._tell(self.on_request, told)

    def retried(self, producer: str, batch: Batch, error: str) -> None:
        if self.on_retry:
            retry = Retry(self.client, producer, batch.topic, batch.partition_id, batch.count, batch.attempts, error)
            self._tell(self.on_retry, retry)

    def connection(self, broker: Broker, state: Any, reason: str | None = None) -> None:
        if self.on_connection:
            self._tell(self.on_connection, Connection(self.client, broker.told_id, broker.address, state, reason))

    def throttled(self, broker: Broker, seconds: float) -> None:
        if self.on_throttle:
            self._tell(self.on_throttle, Throttle(self.client, broker.told_id, broker.address, seconds))

    def compressed(self, producer: str, topic: str, codec: int, before: int, after: int, seconds: float) -> None:
        if self.on_compression:
            from klife.protocol.codecs import CODECS

            name = next(name for name, number in CODECS.items() if number == codec)
            self._tell(self.on_compression, Compression(self.client, producer, topic, name, before, after, seconds))

    def waited(self, producer: str, topic: str, seconds: float, granted: bool) -> None:
        if self.on_buffer_wait:
            self._tell(self.on_buffer_wait, BufferWait(self.client, producer, topic, seconds, granted))

    def sampled(self, **sample: Any) -> None:
        self._tell(self.on_sample, Sample(client=self.client, **sample))

    def _tell(self, methods: Methods, *what: Any) -> None:
        for method in methods:
            try:
                method(*what)
            except (GreenletExit, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # noqa: BLE001 - a timeout of gevent's, too, that was started in the hook
                self._failed(method, error)

    def _failed(self, method: Callable[..., Any], error: BaseException) -> None:
        name = getattr(method, "__qualname__", repr(method))
        log.error("hook_failed", client=self.client, hook=name, exception=traceback_of(error))


def _overridden(hooks: Sequence[Hooks], name: str) -> Methods:
    return tuple(getattr(each, name) for each in hooks if getattr(type(each), name) is not getattr(Hooks, name))
