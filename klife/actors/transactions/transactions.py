"""`Transactions`: the part of a client that has transactions: its pools, and which greenlet has which open.

Callers begin and end here. What they wait for is a producer, if none rests (a message to the `PoolActor`), and
the end of a transaction (a latch, for it outlives every actor).
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from typing import Any

from klife.actors.engine import Engine
from klife.actors.producer import letting_go
from klife.actors.producer.producers import Producers
from klife.actors.runtime.future import WaitTimeout
from klife.actors.transactions import outcome
from klife.actors.transactions.connections import Connections
from klife.actors.transactions.messages import CheckOut
from klife.actors.transactions.pool import Pool
from klife.actors.transactions.pool_tree import pool_spec
from klife.actors.transactions.producer import TransactionalProducer
from klife.actors.transactions.status import pool_status
from klife.actors.transactions.transaction import Owner, Transaction
from klife.errors import InvalidRecordType, InvalidRecordValue, KlifeError, PoolExhausted, TransactionError
from klife.words import kind_of
from klife_supervision import ChildSpec

_GRACE = 5.0  # seconds that a caller waits beyond what its transaction may take
_ABORT_WAIT = 5.0  # seconds that a caller waits for an abort, which goes on without it


class Transactions:
    """All pools of one client. Promises as `Part` says."""

    def __init__(self, engine: Engine, producers: Producers) -> None:
        settings = engine.settings
        self.engine = engine
        self.owners: dict[Any, Transaction] = {}  # by greenlet, from the beginning of a block to its end; mostly empty
        connections = Connections(engine.metadata)
        self.pools: dict[str, Pool] = {each.name: Pool(each, producers, connections) for each in settings.txn_pools}
        self._ends = False  # the client or the process does: what is open is to be ended
        self._default = settings.default_txn_pool or next(iter(self.pools), None)

    # beginning and ending, in a greenlet of the home

    def begin(self, owner: Owner, name: str | None) -> Transaction:
        """A transaction of the pool of that name, or of the default one, begun for `owner`.

        Raises:
            TransactionMisused: the owner has one open; or this is a forked child, and the ids are its
                parent's.
            PoolExhausted: all that may be open are, until `checkout_timeout`.
            TransactionError, TransactionFenced: the cluster does not let us begin.
            InvalidRecordType, InvalidRecordValue: there is no such pool.
            ClientClosed: the client was stopped.
        """
        pool = self._named(name)
        last = self.owners.get(owner.greenlet)
        if last is not None:
            if not last.owner.has_lost_block:
                raise outcome.nested(pool.name)
            last.pool.wake()  # its PoolActor ends it
        if self.engine.in_child and pool.settings.base_txn_id:
            raise outcome.forked(pool.name)
        if self.engine.closing is not None:
            raise self.engine.closed_error("No transaction was begun")
        transaction = Transaction(pool, owner, self.owners)
        try:
            self.owners[owner.greenlet] = transaction
            pool.open[transaction] = None
            if not pool.begin_at_once(transaction, transaction.asked_at):
                pool.post.ask(CheckOut(transaction), transaction.asked_at + pool.settings.checkout_timeout)
            owner.when_gone(pool.wake)
        except BaseException as error:
            transaction.forget()
            pool.leave(transaction)
            if isinstance(error, WaitTimeout):
                raise _not_begun(pool) from None
            raise
        return transaction

    def commit(self, transaction: Transaction) -> None:
        """End it as its owner wants; wait for all deliveries, and for the coordinator.

        Raises:
            TransactionAborted, TransactionFenced: it is aborted, and why.
            TransactionError: `possibly_committed`: nobody knows.
        """
        producer, over = transaction.producer, transaction.over
        assert producer is not None
        transaction.closed = transaction.closed or "committed"
        producer.commit(transaction)
        if not over.wait(producer.settings.delivery_timeout + _GRACE):
            producer.end(transaction, commits=False)  # unless that was for the coordinator
            if not over.wait(transaction.pool.settings.txn_timeout + _GRACE):
                raise transaction.whose.unknown("no coordinator answered within txn_timeout_ms")
        if transaction.forked:  # while it waited
            raise outcome.of_the_parent(transaction.pool.name)
        if transaction.error is not None:
            raise outcome.told(transaction.error)
        if not transaction.committed:
            raise transaction.whose.aborted("a record was still on its way when its time was over")

    def abort(self, transaction: Transaction, *, waits: bool) -> None:
        """Abort it, and wait a little for that."""
        producer = transaction.producer
        assert producer is not None
        transaction.closed = transaction.closed or "aborted"
        producer.end(transaction, commits=False)
        if waits:
            transaction.over.wait(_ABORT_WAIT)

    def withdraw(self, owner: Owner) -> None:
        """`owner` asked for a transaction from another thread, and was interrupted while it waited: it will not
        enter the block.
        """
        transaction = self.owners.get(owner.greenlet)
        if transaction is not None and transaction.owner is owner:
            transaction.forget()
            self.pools[transaction.pool.name].leave(transaction)

    def give_up(self, transaction: Transaction) -> None:
        """Its owner does not wait for the end any more: abort what is not committing by now."""
        if transaction.producer is not None:
            transaction.producer.end(transaction, commits=False)
            transaction.producer.wake()  # who asked for the end before may have been interrupted in that

    def _named(self, name: str | None) -> Pool:
        wanted = self._default if name is None else name
        if not isinstance(wanted, str) and name is not None:
            raise InvalidRecordType(f"pool is {kind_of(name)}; expected the name of one of this client's txn_pools")
        pool = self.pools.get(wanted) if wanted is not None else None
        if pool is None:
            names = ", ".join(map(repr, self.pools)) or "none: give it txn_pools=[{'name': ...}]"
            asked = "there is no pool for transactions" if name is None else f"there is no pool {name!r}"
            raise InvalidRecordValue(f"{asked} in this client; it has {names}")
        return pool

    def _producers(self) -> list[TransactionalProducer]:
        return [producer for pool in self.pools.values() for producer in list(pool.producers.values())]

    # what it is to metadata and tree

    def needs(self, topic: str) -> bool:
        return any(producer.routing.holds(topic) for producer in self._producers())

    def uses(self, node_id: int) -> bool:
        return any(
            producer.coordinator.node_id == node_id or any(batcher.node_id == node_id for batcher in producer.batchers.all.values())
            for producer in self._producers()
        )

    def metadata_changed(self) -> None:
        for producer in self._producers():
            producer.wake()

    def children(self) -> list[ChildSpec]:
        return [pool_spec(pool) for pool in self.pools.values()]

    # being ready: a pool connects at its first use

    def wait_ready(self, deadline: float) -> None:
        pass

    def troubles(self) -> list[str]:
        return []

    # the end

    def process_exits(self) -> None:
        self._ends = True
        self._abort_all("the process is ending")

    def close(self, reason: str) -> None:
        self._ends = True
        for pool in self.pools.values():
            pool.post.close(self.engine.closed_error)
        for producer in self._producers():
            producer.callbacks.close()
        self._abort_all(f"the client takes no more records: {reason}")

    def _abort_all(self, why: str) -> None:
        for pool in self.pools.values():
            for transaction in list(pool.open):
                if transaction.producer is not None:
                    cause = transaction.whose.aborted(why, retriable=False, advice="Run it again with a new client")
                    transaction.producer.end(transaction, commits=False, cause=cause)

    def skip_linger(self, by: int) -> None:
        for producer in self._producers():
            producer.skip_linger(by)

    def flush(self, deadline: float) -> int:
        left = sum(producer.flush(deadline) for producer in self._producers())
        for pool in self.pools.values():
            for transaction in list(pool.open):
                if self._ends and transaction.producer is not None:
                    transaction.over.wait(deadline - monotonic())
        return left

    @property
    def longest_wait(self) -> float:
        return max((pool.settings.producer.delivery_timeout for pool in self.pools.values() if pool.open), default=0.0)

    @property
    def calls_back_here(self) -> bool:
        return any(producer.callbacks.is_running_in_this_greenlet for producer in self._producers())

    def wait_for_callbacks(self, deadline: float) -> bool:
        unfinished = [(producer.callbacks, producer.callbacks.unfinished()) for producer in self._producers()]
        return all(callbacks.wait_for(batches, deadline) for callbacks, batches in unfinished)

    def abandon(self, why: str, *, lets_hub_run: bool = False) -> int:
        count = 0
        for producer in self._producers():
            count += producer.abandon(why, lets_hub_run=lets_hub_run)
            transaction = producer.transaction
            if transaction is not None and not transaction.over.is_set:
                unsure = transaction.commits and producer.end_sent_at is not None
                transaction.ended(
                    error=transaction.whose.unknown(why) if unsure else transaction.cause or transaction.whose.aborted(why)
                )
        return count

    def orphan(self) -> None:
        for pool in self.pools.values():
            pool.inbox = None
        for producer in self._producers():
            letting_go.orphan(producer)

    def disown(self, why: str) -> None:
        for pool in self.pools.values():
            pool.inbox = None
            for transaction in list(pool.open):
                transaction.forked = True
                transaction.over.is_set = True
        for producer in self._producers():
            letting_go.disown(producer, why)

    # the books

    def status(self) -> dict[str, Any]:
        return {"txn_pools": tuple(map(pool_status, self.pools.values()))}

    @property
    def delivered(self) -> int:
        return sum(producer.settlement.delivered_records for producer in self._producers())

    @property
    def failed(self) -> int:
        return sum(producer.settlement.failed_records - producer.dropped_records for producer in self._producers())

    @property
    def unsettled(self) -> int:
        return sum(producer.unsettled for producer in self._producers())

    @property
    def oldest_unsettled(self) -> float | None:
        return min((oldest for producer in self._producers() if (oldest := producer.deadlines.oldest) is not None), default=None)

    @property
    def has_something_to_end(self) -> bool:
        return self._ends and any(pool.open for pool in self.pools.values())


def _not_begun(pool: Pool) -> KlifeError:
    """Why nobody got a producer in time: the others have them, or the cluster has not given any."""
    now, timeout = monotonic(), pool.settings.checkout_timeout
    ages = [now - each.begun_at for each in pool.open if each.producer is not None]
    if len(ages) >= pool.settings.pool_size:
        return PoolExhausted(pool.name, pool.settings.pool_size, timeout, ages)
    why = pool.trouble() or "no transaction coordinator has answered"
    with suppress(StopIteration):
        why = f"{why}; {next(iter(pool.metadata.troubles()))}" if not pool.metadata.snapshot.brokers else why
    return TransactionError(
        f"no transaction of the pool {pool.name!r} could be begun within checkout_timeout_ms ({timeout * 1000:g}): {why}. "
        "The client goes on trying; run it again",
        pool=pool.name,
        retriable=True,
    )
