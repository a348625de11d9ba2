"""`ObservedAppend`: an `Append` whose records an `Observer` sees first, in the greenlet or thread of who
produces them.

A class of its own, so that a client without such hooks has no look to take. To its fast path no thread is the
home, and no greenlet has a transaction; so each record comes to `elsewhere`, and is shown there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gevent import getcurrent

from klife.actors.engine import Engine
from klife.actors.observer import Observer
from klife.actors.producer.delivery import Places
from klife.actors.producer.producers import Producers
from klife.actors.runtime.forked import take_note
from klife.actors.runtime.latch import get_thread_ident
from klife.api.append import Append
from klife.api.handle import Handle
from klife.record import Record

_NO_THREAD = 0


class ObservedAppend(Append):
    """The same, for records as the hooks have them."""

    def __init__(self, handle: Handle, observer: Observer) -> None:
        super().__init__(handle)
        self._observer = observer

    def _follow(self, engine: Engine) -> Producers:
        producers = super()._follow(engine)
        self._real_home, self._real_owners = self._home, self._owners
        self._home, self._owners, self._own_thread = _NO_THREAD, {}, False
        return producers

    def elsewhere(self, record: Record, producer: str | None, partitioner: Any, wanted: bool, callback: Any) -> Any:
        shown = self._observer.shown(record)
        try:
            record = self._serialised(shown)
            transaction = self.open_transaction()
            if transaction is not None:
                return self.join(transaction, record, producer, partitioner, wanted, callback)
            take_note()
            if get_thread_ident() != self._real_home:
                return self.from_thread(lambda: self._append(record, producer, partitioner, None, None, 0, wanted, callback))
            if type(record) is Record and producer is None and partitioner is None:
                topic = self._known.get(record.topic) if isinstance(record.topic, str) else None
                if topic is not None:
                    return topic.append(record, None, None, True, None, 0, wanted, callback)
            return self._append(record, producer, partitioner, None, None, 0, wanted, callback)
        except BaseException as error:
            self._observer.refused(shown, error)
            raise

    def accepted_in(self, transaction: Any, record: Record, partitioner: Any, wanted: bool, callback: Any) -> Any:
        shown = self._observer.shown(record)
        try:
            return super().accepted_in(transaction, self._serialised(shown), partitioner, wanted, callback)
        except BaseException as error:
            self._observer.refused(shown, error)
            raise

    def _serialised(self, record: Record) -> Record:
        """What is produced in the place of `record`, as the hooks have it."""
        return record

    def open_transaction(self) -> Any:
        return self._real_owners.get(getcurrent()) if self._real_owners else None

    def checked(self, records: Iterable[Record]) -> list[Record]:
        shown = [self._observer.shown(record) for record in super().checked(records)]
        try:
            return super().checked(shown)
        except BaseException as error:
            self._all_refused(shown, error)
            raise

    def take(self, records: list[Record], producer: str | None, partitioner: Any) -> Places:
        try:
            return self._look(super().take(records, producer, partitioner))
        except BaseException as error:
            self._all_refused(records, error)
            raise

    def join_all(self, transaction: Any, records: list[Record], producer: str | None, partitioner: Any) -> Places:
        try:
            return self._look(super().join_all(transaction, records, producer, partitioner))
        except BaseException as error:
            self._all_refused(records, error)
            raise

    def _look(self, places: Places) -> Places:
        for result in places.failures.values():
            self._observer.refused(result, result.error)  # type: ignore[arg-type]  # it has one
        return places

    def _all_refused(self, records: list[Record], error: BaseException) -> None:
        for record in records:
            self._observer.refused(record, error)
