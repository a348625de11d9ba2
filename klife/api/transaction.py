"""`Transaction`: what a `with client.transaction()` block has, and the calls behind it.

A transaction belongs to the greenlet, or thread, that began it: what that one produces joins by itself. Others
join by the methods here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

import gevent
from gevent._hub_local import get_hub_if_exists

from klife.actors.engine import Engine
from klife.actors.producer.callers_context import in_callers_context
from klife.actors.producer.delivery import BatchDelivery, Delivery
from klife.actors.producer.validation import not_a_callback
from klife.actors.runtime.forked import take_note
from klife.actors.transactions import outcome
from klife.actors.transactions.transaction import Owner
from klife.actors.transactions.transactions import Transactions
from klife.api.from_thread import call_at_home
from klife.coroutines import is_coroutine_function
from klife.errors import ClientClosed, InvalidRecordType, InvalidRecordValue, ProduceError, TransactionAborted, TransactionMisused
from klife.record import Record
from klife.words import kind_of

if TYPE_CHECKING:
    from klife.actors.transactions.transaction import Transaction as OpenTransaction
    from klife.api.append import Append
    from klife.api.handle import Handle

T = TypeVar("T")
Callback = Callable[[Record], object]


class Transaction:
    """A transaction, as its block sees it."""

    __slots__ = ("_handle", "_append", "_pool", "_engine", "_transactions", "_open", "__weakref__")

    def __init__(self, handle: Handle, append: Append, pool: str | None) -> None:
        self._handle = handle
        self._append = append
        self._pool = pool
        self._engine: Engine | None = None
        self._transactions: Transactions | None = None  # the engine's
        self._open: OpenTransaction | None = None

    def __enter__(self) -> Transaction:
        if self._open is not None:
            raise TransactionMisused("this transaction was begun already; ask client.transaction() for another", pool=self._pool)
        engine = self._handle.current(so="No transaction was begun")
        if not engine.settings.txn_pools:
            raise InvalidRecordValue("there is no pool for transactions in this client: give it txn_pools=[{'name': ...}]")
        self._append.follow(engine)
        self._engine = engine
        owner = Owner(self)
        transactions = self._transactions = engine.part(Transactions)
        timeout = max(pool.settings.checkout_timeout for pool in transactions.pools.values())
        try:
            self._open = self._at_home(lambda: transactions.begin(owner, self._pool), timeout)
        except BaseException:  # perhaps a signal handler's, once it was begun
            self._have_done_at_home(lambda: transactions.withdraw(owner))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            self._leave(error)
        except BaseException:
            self._give_up()
            raise

    def _leave(self, error: BaseException | None) -> None:
        opened, transactions = self._opened(), self._transactions
        assert transactions is not None
        take_note()
        if opened.forked:
            if error is None:
                raise outcome.of_the_parent(opened.pool.name)
        elif error is not None:
            self._abort(opened, transactions, waits=isinstance(error, Exception))  # else its greenlet is killed, or out of time
        elif opened.closed != "aborted" or opened.cause is not None:
            self._commit(opened, transactions)
        elif not opened.over.is_set:  # who called `abort` may have been interrupted in it
            self._have_done_at_home(lambda: transactions.give_up(opened))
        opened.forget()

    def _give_up(self) -> None:
        """Leave it to end by itself: by an abort, unless its commit is under way."""
        opened, transactions = self._open, self._transactions
        if opened is None or transactions is None:
            return
        if not opened.forked:
            opened.give_up()
            self._have_done_at_home(lambda: transactions.give_up(opened))
        opened.forget()

    def _commit(self, opened: OpenTransaction, transactions: Transactions) -> None:
        settings = opened.pool.settings
        limit = settings.producer.delivery_timeout + settings.txn_timeout + 10.0
        try:
            self._at_home(lambda: transactions.commit(opened), limit)
        except (ProduceError, ClientClosed) as error:  # of the way to the home, or of that it has ended
            if opened.over.is_set and opened.error is not None:
                raise outcome.told(opened.error) from error
            if getattr(error, "possibly_persisted", False):
                raise opened.whose.unknown(str(error).rstrip(".")) from error
            raise opened.whose.aborted(f"its commit was not begun: {str(error).rstrip('.')}") from error

    def _abort(self, opened: OpenTransaction, transactions: Transactions, *, waits: bool) -> None:
        opened.give_up()
        try:
            self._at_home(lambda: transactions.abort(opened, waits=waits), 5.0)
        except (ProduceError, ClientClosed):  # its home stands still, and does it later; or it has ended, and all with it
            self._have_done_at_home(lambda: transactions.give_up(opened))

    # joining

    def produce(self, record: Record[Any, Any], *, partitioner: Any = None) -> Delivery:
        """As `Client.produce`, in this transaction: from any greenlet or thread, until the block is left.

        Raises:
            TransactionMisused: it has ended. TransactionAborted: it was aborted meanwhile, and why.
        """
        delivery: Delivery = self._append.accepted_in(self._opened(), record, partitioner, True, None)
        return delivery

    def produce_async(self, record: Record[Any, Any], callback: Callback | None = None, *, partitioner: Any = None) -> None:
        """As `Client.produce_async`, in this transaction."""
        if callback is not None and not callable(callback):
            raise not_a_callback(callback)
        if callback is not None:
            callback = in_callers_context(callback)
        self._append.accepted_in(self._opened(), record, partitioner, False, callback)

    def produce_batch(self, records: Iterable[Record[Any, Any]], *, partitioner: Any = None) -> BatchDelivery:
        """As `Client.produce_batch`, in this transaction. A record that could not be queued ends it."""
        checked = self._append.checked(records)
        return BatchDelivery(self._append.join_all(self._opened(), checked, None, partitioner))

    def produce_batch_async(
        self, records: Iterable[Record[Any, Any]], callback: Callable[[list[Record]], object] | None = None, *, partitioner: Any = None
    ) -> None:
        """As `Client.produce_batch_async`, in this transaction."""
        if callback is not None and not callable(callback):
            raise not_a_callback(callback)
        delivery = self.produce_batch(records, partitioner=partitioner)
        if callback is not None:
            delivery.add_done_callback(lambda done: callback(done.get()))

    def abort(self) -> None:
        """Abort it now: nothing of it will be seen, and nothing joins it any more. The block goes on, and is left
        without an error.
        """
        opened, transactions = self._opened(), self._transactions
        assert transactions is not None
        take_note()
        opened.check()
        self._abort(opened, transactions, waits=True)

    def _opened(self) -> OpenTransaction:
        if self._open is None:
            raise TransactionMisused("the transaction has not begun: use it as `with client.transaction() as txn`", pool=self._pool)
        return self._open

    def _at_home(self, function: Callable[[], T], timeout: float) -> T:
        engine = self._engine
        assert engine is not None
        if get_hub_if_exists() is engine.hub:
            return function()
        answer: T = call_at_home(engine, function, timeout, "No transaction was begun")
        return answer

    def _have_done_at_home(self, function: Callable[[], object]) -> None:
        """Call it soon, behind what was called there before, and do not wait: whoever calls was interrupted, or
        has waited for too long.
        """
        engine = self._engine
        assert engine is not None
        if get_hub_if_exists() is engine.hub:
            function()
            return
        with suppress(ValueError):  # its loop was destroyed, and all transactions ended before that
            engine.loop.run_callback_threadsafe(gevent.spawn, function)

    def __repr__(self) -> str:
        return f"<Transaction of pool {self._pool!r}>" if self._open is None else f"<Transaction {self._open.whose.transactional_id!r}>"


class Transacting:
    """What `Client.transaction` is: it makes transactions when it is called."""

    __slots__ = ("_handle", "_append")

    def __init__(self, handle: Handle, append: Append) -> None:
        self._handle = handle
        self._append = append

    @overload
    def __call__(self, function: None = None, /, *, pool: str | None = None) -> Transaction: ...
    @overload
    def __call__(self, function: Callable[..., T], /, *args: Any, pool: str | None = None, retries: int = 0) -> T: ...
    def __call__(self, function: Callable[..., T] | None = None, /, *args: Any, pool: str | None = None, retries: int = 0) -> Any:
        """A transaction, for a `with` block: whatever its greenlet produces inside is visible to readers of
        committed records all together, or not at all. It commits when the block is left, and aborts on an
        exception, which passes through.

        With a `function` it calls that, with `args`, in one, and returns its value; where the transaction was
        aborted and may be run again, up to `retries` times anew.

        Args:
            pool: the name of one of the client's `txn_pools`; by default `default_txn_pool`.

        Raises (when the block is left, besides what is raised in it):
            TransactionAborted: nothing of it will be seen; the text says why.
            TransactionFenced: another producer has the transactional id.
            TransactionError: with `possibly_committed`, no coordinator said what became of it.
        When it is begun:
            PoolExhausted: all that may be open are, for `checkout_timeout_ms`.
            TransactionMisused: this greenlet has one open.
            TransactionError: the cluster does not let us begin.
            InvalidRecordType, InvalidRecordValue: an argument makes no sense, or there is no such pool (TypeError
                and ValueError).
        """
        if function is None:
            if args or retries:
                raise InvalidRecordValue("retries is for transaction(function, ...): a block can not be run again. Leave it out")
            return Transaction(self._handle, self._append, pool)
        _check_call(function, retries)
        while True:
            try:
                with Transaction(self._handle, self._append, pool):
                    return function(*args)
            except TransactionAborted as error:
                if retries <= 0 or not error.retriable:
                    raise
                retries -= 1


def _check_call(function: Any, retries: Any) -> None:
    """Before anything is begun: an error in the block would be taken for the function's."""
    if not callable(function):
        raise InvalidRecordType(
            f"the first argument of transaction() is {kind_of(function)}; expected a function to call in the transaction. "
            "A pool is named by pool='...'"
        )
    if is_coroutine_function(function):
        raise InvalidRecordType(
            "the first argument of transaction() is a coroutine function, which the commit would not wait for; expected a plain one"
        )
    if type(retries) is not int:
        raise InvalidRecordType(f"retries is {kind_of(retries)}; expected an int, 0 or more")
    if retries < 0:
        raise InvalidRecordValue(f"retries is {retries}; expected 0 or more")
