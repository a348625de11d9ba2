"""`TransactionalProducer`: a producer whose identity the transaction coordinator gives, and renews.

It moves records as any producer does. What differs: nothing here makes an epoch of its own, so what would
need one ends the transaction; a partition must be admitted to the transaction before its first batch leaves
(`Admission`); and between transactions nothing is taken at all.

A plain value. `state` moves by the table in `state.py`; what is said to the coordinator, and what its answers
mean, is the `TransactionalProducerActor`'s, which finds here all that its predecessor knew.
"""

from __future__ import annotations

from enum import Enum
from time import monotonic
from typing import TYPE_CHECKING

from klife.actors.network.call import CallFailed
from klife.actors.producer.identity import Identity
from klife.actors.producer.producer import Producer
from klife.actors.runtime.post import Post
from klife.actors.transactions.admission import Admission
from klife.actors.transactions.choice import NEVER_USED
from klife.actors.transactions.coordinator import Coordinator
from klife.actors.transactions.state import Event, State, after
from klife.protocol.apis.produce import ProduceRequest

if TYPE_CHECKING:
    from klife.actors.network.call import Call
    from klife.actors.producer.batch import Batch
    from klife.actors.producer.partition import Partition, Refused
    from klife.actors.transactions.pool_terms import PoolTerms
    from klife.actors.transactions.transaction import Transaction
    from klife.errors import KlifeError

_FIRST_V2_PRODUCE = 12  # from here on, Produce adds its partitions to the transaction (KIP-890)
_AT_REST = "no transaction is open"


class Standing(Enum):
    """What a producer is to its pool."""

    FREE = "free"  # it may go out
    LOST = "lost"  # it rests, and has to be initialised before it goes out
    MADE = "made"  # it is being initialised, for somebody who waits
    OUT = "out"  # somebody has it, or it is not done yet with who had it
    JOINED = "joined"  # its transaction is over, and a record that was to join that waits yet
    FENCED = "fenced"


class TransactionalProducer(Producer):
    """One producer of `pool`, under the id `transactional_id`."""

    def __init__(self, pool: PoolTerms, transactional_id: str, index: int) -> None:
        super().__init__(
            pool.settings.producer._replace(name=f"{pool.name} {index}", transactional_id=transactional_id),
            pool.buffer,
            pool.hub,
            pool.max_block,
            pool.connections.broker,
            pool.wait_for_partitions,
        )
        self.txn_pool = pool
        self.index = index
        self.transactional_id = transactional_id
        self.post: Post = Post()
        self.has_actor = False  # whether its supervisor was told to run its actors
        self.state: State = State.UNINITIALIZED
        self.wanted: bool = False  # somebody waits for it to be initialised
        self.coordinator: Coordinator = Coordinator(transactional_id, pool.metadata, self.settings, self.broker_of)
        self.owned: tuple[int, int] | None = None  # the id and epoch that the coordinator gave last
        self.described: tuple[int, int] | None = None  # as what the coordinator said, when asked just now, that it is ours
        self.is_asking: bool = False  # a request under this epoch is under way to the coordinator
        self.is_unheard: bool = False  # one had no answer, and may reach it yet, however often it was repeated since
        self.was_unheard: bool = False  # of any epoch
        self.renewal_in_doubt: bool = False  # one may be done that was answered otherwise, or have ended what was open
        self.is_v2: bool = False  # what the cluster had settled when it was initialised: so it stays
        self.rested_since: float = NEVER_USED
        # Records that are on their way into the open transaction, perhaps waiting for room. While there are, it begins
        # no other transaction, which they would join then.
        self.joining: int = 0
        self.dropped_records: int = 0  # by aborts: they have not failed by themselves
        self.rests: bool = True  # no transaction is open, and nothing of the last one was on its way when that was looked at
        # Of the transaction that is open:
        self.transaction: Transaction | None = None
        self.begun_at: float = 0.0  # this, or the last one
        self.admission: Admission = Admission(self.identities, self.batchers, pool.connections)
        self.touched: bool = False  # the coordinator may know of it
        self.added: bool = False  # it has said that it does, to an AddPartitionsToTxn
        self.produce_unheard: bool = False  # a Produce had no answer, and may reach its leader yet
        self._delivered_before = 0
        self.commits_when_delivered: bool = False  # its owner has left the block
        self.end_asked_at: float | None = None
        self.end_sent_at: float | None = None
        self.end_in_doubt: bool = False  # an EndTxn had no answer
        self.is_in_question: bool = False  # timed out, or fenced? The coordinator is asked next, by DescribeTransactions
        self.terms.closed = _AT_REST
        self.terms.awaits_admission = self.admission.awaits

    def move(self, event: Event) -> None:
        """The only way from state to state."""
        self.state = after(self.state, event)

    @property
    def is_quiet(self) -> bool:
        """Whether no records are on their way."""
        for batcher in self.batchers.all.values():  # noqa: SIM110 - a generator would be resumed for each
            if batcher.calls:
                return False
        return True

    def look_for_rest(self) -> None:
        """Tell the pool if no transaction is open, and nothing of the last one on its way any more, and that is
        news.
        """
        if not self.rests and self.transaction is None and self.is_quiet and not self.joining:
            self.rests = True
            self.txn_pool.came_to_rest(self)

    @property
    def standing(self) -> Standing:
        """What it is to its pool."""
        state = self.state
        if self.transaction is None and (self.rests or self.is_quiet):
            if self.joining:
                return Standing.JOINED
            if state is State.READY:
                return Standing.FREE
            if state is State.UNINITIALIZED and not self.wanted:
                return Standing.LOST
        if state is State.FATAL_ERROR:
            return Standing.FENCED
        return Standing.MADE if self.wanted else Standing.OUT

    @property
    def was_open(self) -> bool:
        """Whether the coordinator certainly knew of the last transaction, unless that has ended well. One
        whose id was taken before its first record can not have timed out.
        """
        return self.touched and (self.added or self.settlement.delivered_records > self._delivered_before)

    @property
    def may_fence_itself(self) -> bool:
        """Whether requests of its own may raise the epoch, or have, without its hearing of it."""
        return self.was_unheard or self.renewal_in_doubt

    @property
    def late_may_join(self) -> bool:
        """Whether a record that arrives after the abort would be written, and be part of what comes next.

        A pool whose ids others may have has to be told who has them, when it has raised the epoch of one.
        """
        if self.is_v2 or not self.produce_unheard or not self.coordinator.takes_late_records:
            return False
        return self.coordinator.describes or not self.txn_pool.settings.base_txn_id

    @property
    def asks_first(self) -> bool:
        """Whether to ask who has the id before it is renewed: of somebody who has taken it the coordinator would end
        the open transaction, and raise the epoch, before it looks at ours.
        """
        if self.owned is None or self.owned == self.described or not self.txn_pool.settings.base_txn_id:
            return False
        return self.coordinator.describes

    def is_overdue(self, now: float) -> bool:
        """Whether the coordinator may have ended the last transaction at its timeout, by `now`."""
        return now - self.begun_at >= self.txn_pool.marked_timeout_ms / 1000

    # a transaction

    def begin(self, transaction: Transaction) -> None:
        """`transaction` is this producer's from now on."""
        assert self.owned is not None
        self.txn_pool.went_out(self)
        self.rests = False
        self.admission.begin()
        self.touched = self.added = self.produce_unheard = self.end_in_doubt = self.is_in_question = self.commits_when_delivered = False
        self._delivered_before = self.settlement.delivered_records
        self.end_asked_at = self.end_sent_at = self.described = None
        self.settlement.first_error = None
        self.identities.found(Identity(*self.owned, admitted=set()))
        for batcher in self.batchers.all.values():
            if not batcher.broker.is_ready:  # another connection may be
                batcher.broker = self.broker_of(batcher.node_id)
        self.begun_at = transaction.begun_at = monotonic()
        begun = after(self.state, Event.BEGIN)
        transaction.topics = self.routing.topics
        # From here on there is no call, in which a signal handler might raise: it is theirs altogether, or rests.
        self.state = begun
        self.terms.closed = None
        self.transaction = transaction
        transaction.producer = self

    def begin_anew(self, partitions: list[Partition], identity: Identity | None) -> None:
        """`partitions` have something to send, and are not admitted yet; or they lost a sequence, because a
        record failed, and then so did the transaction.
        """
        admission = self.admission
        if identity is not None:
            admission.wish(partition for partition in partitions if not identity.admits(partition))
        if self.is_v2 and self.state is State.IN_TRANSACTION and self.settlement.first_error is None and admission.wishes:
            self.admit_next()
        else:
            self.wake()  # in v1 they are admitted once the coordinator has answered

    def unanswered(self, partition: Partition, batch: Batch, why: Refused, sent: bool) -> None:
        self.produce_unheard = self.produce_unheard or sent
        super().unanswered(partition, batch, why, sent)

    def answered(self) -> None:
        """It may be time to commit, or, in v2, the next leader's turn. The actor looks, where it waits for all that
        is in flight.
        """
        if self.state is not State.IN_TRANSACTION or self.settlement.first_error is not None:
            self.wake()
        elif self.admission.wishes and self.is_v2:
            self.admit_next()
        else:
            self.commit_if_delivered()

    def admit_next(self) -> None:
        """In v2: admit those whose turn it is."""
        turn = self.admission.turn()
        if turn:
            self.touched = True
            self.admission.admit(turn)

    def initialised(self, producer_id: int, epoch: int) -> None:
        """The coordinator has given it this id and epoch, and ended what was open before."""
        self.owned = producer_id, epoch
        self.is_asking = self.is_unheard = False
        self.end_in_doubt = self.renewal_in_doubt = self.wanted = False
        self.is_v2 = self.admission.by_leaders = self.txn_pool.is_v2
        last = ProduceRequest.MAX_VERSION
        self.terms.produce_versions = (_FIRST_V2_PRODUCE, last) if self.is_v2 else (ProduceRequest.MIN_VERSION, _FIRST_V2_PRODUCE - 1)
        self.move(Event.INITIALIZED)
        self.txn_pool.came_to_rest(self)
        self.txn_pool.wake()

    def heard(self, call: Call) -> None:
        """What was asked of the coordinator is over, with an answer or without."""
        if self.is_asking and isinstance(call.error, CallFailed) and call.error.sent:
            self.unheard()
        self.is_asking = False

    def unheard(self) -> None:
        """A request to the coordinator had no answer, and will have none."""
        self.is_unheard = self.was_unheard = True
        self.is_asking = False

    def stop_taking(self) -> None:
        """Nothing joins the transaction any more."""
        self.terms.closed = _AT_REST

    def commit(self, transaction: Transaction) -> None:
        """Have `transaction` committed as soon as all deliveries are there; if one fails, it is an abort. Nothing
        joins it any more.
        """
        if self.transaction is transaction:
            self.stop_taking()
            self.commits_when_delivered = True
            self.commit_if_delivered()

    def commit_if_delivered(self) -> None:
        """Go on with a commit that waited for deliveries."""
        if self.commits_when_delivered and self.transaction is not None and not self.deadlines.pending:
            self.end(self.transaction, commits=True)

    def end(self, transaction: Transaction, *, commits: bool, cause: KlifeError | None = None) -> None:
        """Have `transaction` ended. To ask again changes nothing, and after a commit was asked for nobody
        aborts it.

        A commit is to be asked for when all deliveries are there. If one failed, or its owner has given it up
        meanwhile, it is an abort.
        """
        if self.transaction is not transaction or self.state not in (State.IN_TRANSACTION, State.ABORTABLE_ERROR):
            return
        self.stop_taking()
        self.end_asked_at = monotonic()
        if commits and self.state is State.IN_TRANSACTION and self.settlement.first_error is None and not transaction.given_up:
            committing = after(self.state, Event.COMMIT)
            self.state, transaction.commits = committing, True  # both or, if a signal handler raises, none
        else:
            if transaction.cause is None:
                first = self.settlement.first_error
                transaction.cause = cause if first is None or not commits else transaction.whose.not_delivered(first)
            self.move(Event.ABORT)
            self.drop_records()
        self.wake()

    def look_for_failure(self) -> None:
        """A record that failed has ended the transaction; its owner need not wait for the others."""
        error, transaction = self.settlement.first_error, self.transaction
        if error is not None and self.state is State.IN_TRANSACTION and transaction is not None:
            self.fail(transaction.whose.not_delivered(error))

    def fail(self, cause: KlifeError) -> None:
        """The open transaction can only be aborted, for `cause`."""
        assert self.transaction is not None
        self.transaction.cause = cause
        self.move(Event.FAIL)
        self.stop_taking()
        self.drop_records()

    def drop_records(self) -> None:
        """Nothing of the transaction is sent any more."""
        self.admission.wishes.clear()
        self.dropped_records += self.abandon("the transaction was aborted")

    def ended(
        self,
        event: Event,
        *,
        committed: bool = False,
        error: KlifeError | None = None,
        owned: tuple[int, int] | None = None,
        is_done: bool = False,
    ) -> None:
        """The transaction is over, and the state moves by `event`. `owned` is what the coordinator has given for the
        next one; `is_done`: it said that nothing is open.
        """
        transaction = self.transaction
        if transaction is not None:  # first: if a signal handler raises behind it, the end comes once more, and told it is
            transaction.ended(committed=committed, error=error)
        following, now = after(self.state, event), monotonic()
        reopens = event is Event.LOSE and self.touched and not is_done and not self.is_overdue(now)
        # From here on there is no call until all is noted, as in `begin`.
        if owned is not None:
            self.owned = owned
        if event is Event.END or is_done:
            self.touched = False
        elif reopens:
            self.wanted = True  # else what may be open yet would keep readers waiting until its timeout
        self.is_in_question = False
        self.identities.current = None
        self.terms.closed = _AT_REST
        self.rested_since = now
        self.state = following
        self.transaction = None
        self.look_for_rest()
