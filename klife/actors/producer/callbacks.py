"""Callbacks of deliveries: in order per partition, off the I/O greenlets, and bounded.

Each partition with callbacks to run has a greenlet for as long as it has any, as far as anybody can tell
(`SpareGreenlet`). So a callback that raises is logged and the next runs; one that blocks delays the callbacks
of its own partition (their order is the promise) and nothing else.

The bytes of a batch with callbacks go back to the buffer pool when its callbacks begin, not when the broker
answers. Callbacks that are slower than the brokers thereby slow `produce` down, instead of piling up results
without bound; and callbacks that produce as much as they are called for never wait for room, since they may
take those bytes even if others had them first. Quick ones let the hub run every few milliseconds.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from gevent import getcurrent
from gevent._hub_local import get_hub_if_exists

from klife import cython_shim as cython
from klife.actors.producer.batch import Batch
from klife.actors.producer.buffer_pool import BufferPool
from klife.actors.runtime.callback_threads import call_outside_hub
from klife.actors.runtime.forked import is_forked, take_note
from klife.actors.runtime.home import has_own_thread
from klife.actors.runtime.latch import Latch
from klife.actors.runtime.loop_budget import LoopBudget
from klife.actors.runtime.spare_greenlet import SpareGreenlet
from klife.coroutines import refuse_coroutine
from klife.errors import ForkedDelivery
from klife_supervision.let_hub_run import let_hub_run
from klife_supervision.logs import Logger, fields_here, get_logger, traceback_of

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from klife.actors.producer.batch import Callback

log: Logger = get_logger("klife.producer")

_LOOK_EVERY = 64  # callbacks between two looks at the clock, at most


class Callbacks:
    """All callbacks of one producer."""

    def __init__(self, pool: BufferPool, home: Any, budget: LoopBudget) -> None:
        self._pool = pool
        self._home = home
        self._loop = home.loop
        self._ended: dict[Batch, Latch] = {}  # of batches that somebody waits for
        self._backlogs: dict[tuple[str, int], list[Batch]] = {}  # by partition, as long as a greenlet runs its callbacks
        self._runners: dict[tuple[str, int], Any] = {}  # those greenlets
        self._spare = SpareGreenlet(home)
        self._budget = budget
        self._look_after = 1  # callbacks; doubled as long as all together leave time, so that slow ones take at most twice their share
        self._own_thread = has_own_thread(home)  # then they may block, and run beside it
        self._log_fields = fields_here.get()

    def add(self, batch: Batch, index: int, callback: Callback) -> None:
        """Run `callback` with the result at `index` once `batch` is settled. From any thread.

        Raises:
            ForkedDelivery: `batch` is delivered by the process this one was forked from.
        """
        if is_forked():
            take_note()
        if not batch.fields:
            raise ForkedDelivery
        if get_hub_if_exists() is not self._home:
            self._loop.run_callback_threadsafe(self.add, batch, index, callback)
            return
        first = batch.callbacks is None
        batch.add_callback(index, callback)
        if first and batch.is_set:
            batch.size = 0  # its bytes went back when it was settled
            self.batch_settled(batch)

    def batch_settled(self, batch: Batch) -> None:
        """A batch with callbacks is settled: its callbacks run after those of the partition's earlier
        batches.
        """
        fresh = [batch]
        partition = batch.topic, batch.partition_id
        backlog = self._backlogs.setdefault(partition, fresh)
        if backlog is fresh:
            self._start(partition, backlog)
        else:
            backlog.append(batch)

    def settled_again(self, batch: Batch) -> None:
        """As `batch_settled`, where that may have been called for `batch`, and been ended anywhere by a
        signal handler's exception.
        """
        partition = batch.topic, batch.partition_id
        backlog = self._backlogs.get(partition)
        if backlog is None:
            self.batch_settled(batch)
            return
        if batch not in backlog:
            backlog.append(batch)
        if partition not in self._runners:
            self._start(partition, backlog)

    def _start(self, partition: tuple[str, int], backlog: list[Batch]) -> None:
        self._spare.call(self._run, partition, backlog)

    def _call_in_thread(self, batch: Batch, size: int) -> None:
        """As `_call_all`, in threads where they may block. What changes the batch stays at home."""
        while batch.callbacks:
            callbacks, indices = batch.callbacks, batch.indices
            assert indices is not None
            batch.expect_callbacks()
            call_outside_hub(self._home, self._call_each, batch, callbacks, indices, size)

    def _call_each(self, batch: Batch, callbacks: list[Any], indices: list[int], size: int) -> None:
        fields_here.set(self._log_fields)
        partition = batch.topic, batch.partition_id
        self._runners[partition] = getcurrent()
        self._pool.allow_overdraft(size)
        try:
            for callback, index in zip(callbacks, indices, strict=True):
                try:
                    _call(callback, batch, index)
                except BaseException as error:  # noqa: BLE001 - an exit ends no thread of klife's
                    _tell_failed(batch, error)
        finally:
            self._pool.allow_overdraft(0)

    def close(self) -> None:
        """The client takes no more records. Callbacks still run, and no greenlet waits for more of them."""
        self._spare.close()

    def forget(self) -> None:
        """In a forked child, or where the home is gone."""
        self._spare.forget()

    @property
    def is_running_in_this_greenlet(self) -> bool:
        """Whether the caller is itself a callback."""
        return getcurrent() in self._runners.values()

    def unfinished(self) -> list[Batch]:
        """Settled batches whose callbacks have not all been called."""
        return [batch for backlog in self._backlogs.values() for batch in backlog]

    def wait_for(self, batches: list[Batch], deadline: float) -> bool:
        """Wait until the callbacks of `batches`, which are settled, were called; return False if that was not
        by `deadline`.
        """
        for batch in batches:
            if batch.callbacks is not None and not self._ended.setdefault(batch, Latch(self._home)).wait(deadline - monotonic()):
                return False
        return True

    @cython.locals(batch="Batch")
    def _run(self, partition: tuple[str, int], backlog: list[Batch]) -> None:
        if partition in self._runners or self._backlogs.get(partition) is not backlog:
            return  # it was started twice
        fields_here.set(self._log_fields)
        try:
            self._runners[partition] = getcurrent()
            while backlog:
                batch = backlog[0]
                size = batch.size
                self._pool.give_back(batch)
                self._pool.allow_overdraft(size)
                try:
                    if self._own_thread:
                        self._call_in_thread(batch, size)
                    else:
                        self._call_all(batch)
                finally:
                    self._pool.allow_overdraft(0)
                    if not batch.callbacks:  # else a callback killed this greenlet: leave the rest to the next runner
                        del backlog[0]
                        self._all_called(batch)
        finally:
            self._runners.pop(partition, None)
            if backlog:
                self._start(partition, backlog)
            else:
                del self._backlogs[partition]

    @cython.locals(callbacks=list, indices=list, place=cython.Py_ssize_t, look_at=cython.Py_ssize_t)
    def _call_all(self, batch: Batch) -> None:
        """Call what is to be called, and what is added meanwhile; what an exception leaves out stays to be
        called.
        """
        while batch.callbacks:
            callbacks, indices = batch.callbacks, batch.indices
            assert indices is not None
            place, look_at = 0, 1
            try:
                batch.expect_callbacks()
                while place < len(callbacks):
                    place += 1  # before it: whatever happens in it, it was called
                    _call(callbacks[place - 1], batch, indices[place - 1])
                    if place == look_at:
                        is_over = self._budget.is_over()
                        self._look_after = 1 if is_over else min(2 * self._look_after, _LOOK_EVERY)
                        look_at = place + self._look_after
                        if is_over:
                            let_hub_run()
            finally:
                if place < len(callbacks) and batch.callbacks is not callbacks:
                    batch.callbacks = callbacks[place:] + batch.callbacks
                    batch.indices = indices[place:] + batch.indices  # type: ignore[operator]

    def _all_called(self, batch: Batch) -> None:
        batch.callbacks = batch.indices = None
        ended = self._ended.pop(batch, None)
        if ended is not None:
            ended.set()


@cython.cfunc
@cython.locals(batch="Batch", index=cython.Py_ssize_t)
def _call(callback: Any, batch: Batch, index: int) -> None:
    if is_forked():
        take_note()
    try:
        result = batch.result(index)
    except ForkedDelivery:  # this greenlet is a copy, in a forked child; the callback is called in the parent
        return
    try:
        returned = callback(result)
        if returned is not None:
            refuse_coroutine(returned)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - a user's callback must not take down what runs the others
        _tell_failed(batch, error)


def _tell_failed(batch: Batch, error: BaseException) -> None:
    log.error("delivery_callback_failed", topic=batch.topic, partition=batch.partition_id, exception=traceback_of(error))
