"""`Transaction`: one transaction of a pool, from the call that asks for a producer until it has ended.

A plain value, as a batch is: it outlives the actors that work for it, and its end is a latch. It belongs to
the greenlet or thread that began it, its `Owner`. Whatever becomes of that one, nobody else commits it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import ref

import gevent
from gevent import getcurrent
from gevent._hub_local import get_hub_if_exists

from klife import cython_shim as cython
from klife.actors.producer import validation
from klife.actors.runtime.latch import Latch
from klife.actors.transactions import outcome
from klife.actors.transactions.outcome import Whose
from klife.record import Record

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from klife.actors.producer.topic import Topic
    from klife.actors.transactions.pool_terms import PoolTerms
    from klife.errors import KlifeError


class Owner:
    """The greenlet that began a transaction, in whatever thread. Made in it.

    It does not keep that one: greenlet 3.5 crashes when the collector finds a circle with the greenlet of a thread
    that has ended, and a transaction is in one with whatever was raised in it.

    It leaves its block by an object of the user's, `block`. Where that is no more, the block can not be left: a signal
    handler raised before the first line of `__exit__`, say.
    """

    __slots__ = ("_greenlet", "_thread", "_told", "_block")

    def __init__(self, block: object) -> None:
        self._block = ref(block)
        current = getcurrent()
        self._greenlet = ref(current)
        self._thread = None if isinstance(current, gevent.Greenlet) else threading.current_thread()
        self._told: Callable[[Any], None] | None = None

    @property
    def greenlet(self) -> Any:
        """None when it is no more."""
        return self._greenlet()

    @property
    def is_gone(self) -> bool:
        """Whether it will never leave the block of its transaction."""
        greenlet = self.greenlet
        if greenlet is None or greenlet.dead or self.has_lost_block:
            return True
        return self._thread is not None and not self._thread.is_alive()

    @property
    def has_lost_block(self) -> bool:
        """Whether it is not in the block any more, and has not left it."""
        return self._block() is None

    def when_gone(self, tell: Callable[[], None]) -> None:
        """Call `tell` at once when it ends, if it is a greenlet that tells of that. Once."""
        greenlet = self.greenlet
        if isinstance(greenlet, gevent.Greenlet):
            self._told = partial(_tell, tell)
            greenlet.rawlink(self._told)

    def forget(self) -> None:
        """Nobody need be told any more."""
        told, self._told = self._told, None
        greenlet = self.greenlet
        if told is not None and greenlet is not None:
            greenlet.unlink(told)


def _tell(tell: Callable[[], None], _greenlet: Any) -> None:
    tell()


class Transaction:
    """A transaction of `pool`. All is called in a greenlet of the client's home, but for `check`."""

    __slots__ = (
        "pool",
        "owner",
        "asked_at",
        "producer",
        "topics",
        "begun_at",
        "closed",
        "forked",
        "commits",
        "given_up",
        "cause",
        "committed",
        "error",
        "over",
        "_by_owner",
        "_hub",
    )

    def __init__(self, pool: PoolTerms, owner: Owner, by_owner: dict[Any, Transaction]) -> None:
        """`by_owner` are the client's transactions, by their owners' greenlets: this one until it is forgotten."""
        self.pool: PoolTerms = pool
        self.owner: Owner = owner
        self._by_owner = by_owner
        self.asked_at: float = monotonic()
        self.producer: Any = None  # a `TransactionalProducer`, which knows it, once it has one
        self.topics: dict[str, Topic] | None = None  # those that its producer has had records of
        self.begun_at: float = 0.0
        self.closed: str | None = None  # why nothing joins it any more: "committed", "aborted"
        self.forked: bool = False  # this is the copy that a forked child has of a transaction of its parent's
        self.commits: bool = False  # how it is to end
        self.given_up: bool = False  # its owner waits for no commit any more: none is begun from now on
        self.cause: KlifeError | None = None  # what ended it, where that was not its owner
        self.committed: bool = False
        self.error: KlifeError | None = None  # of the end, once it is `over`
        self._hub = pool.hub
        self.over: Latch = Latch(pool.hub)

    @property
    def whose(self) -> Whose:
        return Whose(self.pool.name, self.producer.transactional_id if self.producer is not None else "")

    def check(self, producer: str | None = None) -> None:
        """Look whether a record may join; `producer` is the one that its caller asks for.

        Raises:
            TransactionMisused: it may not. The transaction is as it was.
            TransactionAborted, TransactionFenced: it was ended meanwhile, and not by its owner.
        """
        if self.forked:
            raise outcome.of_the_parent(self.pool.name)
        if self.cause is not None:
            raise outcome.told(self.cause)
        if self.closed is not None:
            raise outcome.ended(self.pool.name, self.closed)
        if producer is not None:
            raise outcome.other_producer(self.pool.name, producer)

    def joined(self) -> None:
        """A record was put into it, or was not: its producer counts one `joining` less."""
        if self.over.is_set:
            self.producer.look_for_rest()

    @cython.locals(taken="Record", topic="Topic")
    def append(self, record: Any, wanted: bool, callback: Any) -> Any:
        """As `Topic.append`, at home, of an ordinary record whose topic its producer knows; or return None, and
        nothing was done. What all records of a transaction go through, in one call.

        Raises as `check`, and ClientClosed.
        """
        self.check()
        if get_hub_if_exists() is not self._hub or type(record) is not Record or self.topics is None:
            return None
        taken = record
        try:
            topic = self.topics[taken.topic]
        except (KeyError, TypeError, AttributeError):
            return None
        joined = self.producer
        try:
            joined.joining += 1  # in here: a signal handler may raise after any call, and it is to be taken back once
            return topic.append(taken, None, None, True, None, 0, wanted, callback)
        except AttributeError:  # perhaps for a field that was never set
            if not validation.completed(record):
                raise
            return None
        finally:
            joined.joining -= 1
            self.joined()

    def topic(self, name: Any, deadline: float) -> Topic:
        """The topic as its producer knows it. As `Producers.topic`."""
        return self.pool.topic(self.producer, name, deadline)

    def give_up(self) -> None:
        """Its owner wants no commit any more. From any thread, and at once: before its home hears of it, that may
        be about to commit.
        """
        self.given_up = True
        self.closed = self.closed or "aborted"

    def fail(self, error: Any) -> None:
        """A record of it could not be queued, and nobody was told by an exception: it is not to be committed."""
        producer = self.producer
        if producer is not None and producer.transaction is self and producer.settlement.first_error is None:
            producer.settlement.first_error = error
            producer.wake()

    def ended(self, *, committed: bool = False, error: KlifeError | None = None) -> None:
        """It is over: tell whoever waits."""
        if self.over.is_set:
            return
        self.committed = committed
        self.error = error
        self.closed = self.closed or ("committed" if committed else "aborted")
        if error is not None and self.cause is None:
            self.cause = error
        self.pool.count(self)
        if self.owner.is_gone:
            self.forget()  # else for ever: nobody leaves its block
        self.over.set()

    def forget(self) -> None:
        """Its owner has left the block."""
        self.owner.forget()
        greenlet = self.owner.greenlet
        if self._by_owner.get(greenlet) is self:
            del self._by_owner[greenlet]
