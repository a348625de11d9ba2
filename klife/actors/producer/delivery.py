# distutils: define_macros=CYTHON_USE_TYPE_SPECS=1
"""`Delivery`: what `produce` returns, and `BatchDelivery` for `produce_batch`, which knows the `Places` of
its records.

Deliberately next to nothing: one is made for each record. Both speak pykka's future verb (`get`) and those of
`concurrent.futures` (`result`, `exception`, `done`, `add_done_callback`).

In the compiled core, the garbage collector does not look at a `Delivery` (`no_gc`): there are as many as
records on their way, and none is part of a circle for long: a batch knows a delivery only until its done
callbacks are called, and no exception that anybody raised. (A partitioner is known to batches: one that keeps
deliveries keeps them for ever.)
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

from klife import cython_shim as cython
from klife.actors.producer.batch import Batch
from klife.actors.producer.callers_context import in_callers_context
from klife.actors.producer.validation import not_a_callback
from klife.actors.runtime.future import WaitTimeout
from klife.actors.runtime.loop_budget import AT_ONCE, let_home_run
from klife.coroutines import refuse_coroutine
from klife.errors import ProduceError
from klife.record import Delivered, Record, Undelivered
from klife.words import counted
from klife.wrong_self import refuse_wrong_self, wrong_self
from klife_supervision.logs import Logger, get_logger, traceback_of

if not TYPE_CHECKING and cython.compiled:  # else pyright, to which Cython is of unknown types, knows none of users' deliveries
    import cython

log: Logger = get_logger("klife.producer")

_NOT_PORTABLE = (
    "a delivery can not be copied or pickled: the outcome comes to the process that produced. Wait there, and pass on the results: "
    "delivery.get()"
)


@cython.no_gc
@cython.cclass
class Delivery:
    """The outcome of one record, now or later. Always settled within the producer's `delivery_timeout_ms`."""

    __slots__ = ("_batch", "_index")

    def __init__(self, batch: Batch, index: int) -> None:
        self._batch = batch
        self._index = index

    @cython.locals(batch="Batch")
    def get(self, timeout: float | None = None) -> Delivered:
        """Wait, at most `timeout` seconds, and return the delivered record with its `offset` and `partition`.

        Raises:
            ProduceError: the record was not, or not certainly, written (`possibly_persisted` tells which).
            WaitTimeout: this wait ended first; the delivery goes on.
        """
        try:
            batch = self._batch
        except AttributeError as error:
            raise wrong_self(Delivery, "get", self, error) from None
        if not batch.is_set and not batch.wait(timeout):
            raise WaitTimeout(_still_on_its_way(timeout))
        record = batch.result(self._index)
        if (batch.error is not None or batch.outcomes is not None) and record.error is not None:
            failure = record.error
            try:
                raise failure
            finally:
                del failure, record  # it knows this frame
        return record  # type: ignore[return-value]  # the other kind of result has an error

    def result(self, timeout: float | None = None) -> Delivered:
        """As `get`: the name `concurrent.futures` uses."""
        return self.get(timeout)

    def exception(self, timeout: float | None = None) -> ProduceError | None:
        """Wait as `get` does, and return the record's error, or None when it was delivered."""
        batch = self._batch
        if not batch.wait(timeout):
            raise WaitTimeout(_still_on_its_way(timeout))
        return batch.result(self._index).error

    def done(self) -> bool:
        """Whether the outcome is known."""
        return self._batch.is_set

    def add_done_callback(self, callback: Callable[[Delivery], object]) -> None:
        """Call `callback(self)` once when the outcome is known, off the I/O greenlets; soon, if it is known
        already.
        """
        if not callable(callback):
            raise not_a_callback(callback)
        callback = in_callers_context(callback)
        self._batch.terms.call_when_settled(self._batch, self._index, lambda _record: callback(self))

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PORTABLE)

    def __repr__(self) -> str:
        return f"<Delivery {'done' if self.done() else 'pending'}>"


class Places:
    """Where each record of a `produce_batch` went: a batch and an index in it; or, where it was not queued,
    None and its result.
    """

    __slots__ = ("batches", "indices", "failures", "home", "call_soon")

    def __init__(self, count: int, home: Any, call_soon: Callable[[Callable[[], object]], None] | None = None) -> None:
        self.home: Any = home  # the client's hub
        self.call_soon: Callable[[Callable[[], object]], None] | None = call_soon  # calls a function in a greenlet there
        self.batches: list[Batch | None] = [None] * count
        self.indices: Any = array("q", bytes(8 * count)) if cython.compiled else [0] * count  # to C no objects
        self.failures: dict[int, Undelivered] = {}

    def failed(self, index: int, result: Undelivered) -> None:
        self.failures[index] = result

    def distinct(self) -> list[Batch]:
        """The batches, each once."""
        return [batch for batch in dict.fromkeys(self.batches) if batch is not None]

    @cython.locals(batch="Batch", place=cython.Py_ssize_t, results=list)
    def results(self, start: int, end: int) -> list[Record]:
        """The results of the records from `start` to before `end`, in input order. Only when all batches are
        settled.
        """
        results = []
        for place in range(start, min(end, len(self.batches))):
            batch = self.batches[place]
            results.append(self.failures[place].again() if batch is None else batch.result(self.indices[place]))
        return results


class BatchDelivery:
    """The outcomes of `produce_batch`, in input order. `get` does not raise for a record's failure: look at
    `record.error`.
    """

    __slots__ = ("_places",)

    def __init__(self, places: Places) -> None:
        self._places = places

    @cython.locals(places="Places", batch="Batch")
    def get(self, timeout: float | None = None) -> list[Record]:
        """Wait, at most `timeout` seconds in all, and return one result record for each input record.

        Raises:
            WaitTimeout: this wait ended first; the deliveries go on.
        """
        deadline = None if timeout is None else monotonic() + timeout
        places = self._places
        for batch in places.batches if cython.compiled else places.distinct():  # each is looked at, which to C is less than a set
            if batch is not None and not batch.is_set and not batch.wait(None if deadline is None else deadline - monotonic()):
                raise WaitTimeout(_still_on_its_way(timeout))
        results = places.results(0, AT_ONCE)
        while len(results) < len(places.batches):
            let_home_run(places.home)
            results += places.results(len(results), len(results) + AT_ONCE)
        return results

    def result(self, timeout: float | None = None) -> list[Record]:
        """As `get`: the name `concurrent.futures` uses."""
        return self.get(timeout)

    def exception(self, timeout: float | None = None) -> ProduceError | None:
        """Wait as `get` does, and return the first record's error in input order, or None when all were
        delivered.
        """
        return next((record.error for record in self.get(timeout) if record.error is not None), None)

    def done(self) -> bool:
        """Whether all outcomes are known."""
        return all(batch.is_set for batch in self._places.distinct())

    def add_done_callback(self, callback: Callable[[BatchDelivery], object]) -> None:
        """Call `callback(self)` once when all outcomes are known, off the I/O greenlets; soon, if they are
        already.

        Where no record was queued, that is in the loop's next turn. A callback that raises is logged here as
        everywhere.
        """
        if not callable(callback):
            raise not_a_callback(callback)
        callback = in_callers_context(callback)
        batches = self._places.distinct()
        if not batches:
            # Not at once: one that produces records which are refused, too, would call itself without end.
            assert self._places.call_soon is not None
            self._places.call_soon(partial(_call, callback, self))
            return
        left = len(batches)

        def one_settled(_record: Record) -> object:
            nonlocal left
            left -= 1
            return callback(self) if left == 0 else None

        for batch in batches:
            batch.terms.call_when_settled(batch, 0, one_settled)

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PORTABLE)

    def __repr__(self) -> str:
        return f"<BatchDelivery of {counted(len(self._places.batches), 'record')}, {'done' if self.done() else 'pending'}>"


def _call(callback: Callable[[BatchDelivery], object], delivery: BatchDelivery) -> None:
    try:
        refuse_coroutine(callback(delivery))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - the records are settled, whatever the callback thinks of it
        log.error("delivery_callback_failed", exception=traceback_of(error))


def _still_on_its_way(timeout: float | None) -> str:
    return f"not settled within {timeout:g} s; the delivery goes on, and waiting again is fine" if timeout is not None else ""


if not cython.compiled:
    refuse_wrong_self(Delivery, "__init__", "get")
    refuse_wrong_self(BatchDelivery)
