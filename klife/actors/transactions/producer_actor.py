"""`TransactionalProducerActor`: says to the coordinator what one transactional producer has to say, one request
at a time. What its answers do to the producer is in `beginning` and `concluding`.

What is next follows from the producer's state, which stands in the value: so a successor goes on with it, and
sends again what has no answer. That is safe for each request: FindCoordinator and AddPartitionsToTxn may be
repeated, EndTxn too, and an InitProducerId whose answer was lost is told from a stranger's by the question
that follows its refusal (`fate`).
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from klife.actors.network.call import Call
from klife.actors.producer.producer_actor import ProducerActor
from klife.actors.settings import NEVER
from klife.actors.transactions import beginning, concluding, ending
from klife.actors.transactions.asking import Asked, Asking
from klife.actors.transactions.ending import EndingStep
from klife.actors.transactions.producer import TransactionalProducer
from klife.actors.transactions.state import Event, State
from klife.protocol.apis.add_partitions_to_txn import AddPartitionsToTxnRequest
from klife.protocol.apis.describe_transactions import DescribeTransactionsRequest
from klife.protocol.apis.end_txn import EndTxnRequest
from klife.protocol.apis.find_coordinator import FindCoordinatorRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest

_TAKES_RECORDS = (State.IN_TRANSACTION, State.ABORTABLE_ERROR)  # or did, and its owner has not asked for the end


def _renewed(asking: Asking, call: Call, now: float) -> None:
    take = concluding.aborted_by_renewal if asking.producer.state is State.ABORTING else beginning.initialised
    take(asking, call, now)


_TAKE: dict[Any, Callable[[Asking, Call, float], None]] = {
    FindCoordinatorRequest: beginning.found,
    InitProducerIdRequest: _renewed,
    AddPartitionsToTxnRequest: beginning.added,
    EndTxnRequest: concluding.end_answered,
    DescribeTransactionsRequest: concluding.described,
}


class TransactionalProducerActor(ProducerActor):
    """Runs one `TransactionalProducer`."""

    producer: TransactionalProducer

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._asking = Asking(self.producer)

    @property
    def looks_in_hub(self) -> bool:
        return self.producer.settings.observer is None  # else records that are dropped are shown to hooks, which may wait

    def look_in_hub(self) -> bool:
        """Starting and stopping batchers waits for their supervisor, and the cluster's news may demand it."""
        if self._snapshot is not self.metadata.snapshot or not self.producer.batchers.all_at_work():
            return True
        return super().look_in_hub()

    def on_start(self) -> None:
        if self.producer.end_sent_at is not None:  # our predecessor's, whose answer we do not get
            self.producer.end_in_doubt = True
        if self.producer.is_asking:
            self.producer.unheard()
        super().on_start()

    @property
    def state(self) -> str:
        """Shown in the supervision tree."""
        return f"{self.producer.transactional_id} {self.producer.state.value}"

    def _get_identity(self, now: float) -> float:
        """Say what is next; return when to look again."""
        if self._answer is not None:
            call, self._answer, self._call = self._answer, None, None
            self.producer.heard(call)
            _TAKE[type(call.request)](self._asking, call, now)
        producer = self.producer
        if self._call is not None:
            return NEVER
        if producer.state in _TAKES_RECORDS:
            producer.look_for_failure()
            producer.commit_if_delivered()
        if not producer.rests:
            producer.look_for_rest()
        if now < self._asking.retry_at:
            return self._asking.retry_at
        return self._say(now)

    def _say(self, now: float) -> float:
        """Send the next request, if there is one; return when to look again."""
        producer = self.producer
        if producer.state is State.UNINITIALIZED and producer.wanted:
            producer.described = None  # it may have rested for long since
            producer.move(Event.INITIALIZE)
        match producer.state:
            case State.INITIALIZING | State.COMMITTING | State.ABORTING if producer.is_in_question:
                return self._ask_coordinator(concluding.describe(producer))
            case State.INITIALIZING:
                return self._renew()
            case State.IN_TRANSACTION if producer.admission.wishes:
                if producer.is_v2:
                    producer.admit_next()
                elif reachable := producer.admission.reachable():
                    return self._ask_coordinator(beginning.add_partitions(producer, reachable))
            case State.COMMITTING | State.ABORTING:
                return self._end_transaction(now)
        return NEVER

    def _end_transaction(self, now: float) -> float:
        """End the transaction, as far as it can be now."""
        producer = self.producer
        assert producer.end_asked_at is not None
        if producer.state is State.ABORTING and producer.deadlines.pending:
            producer.drop_records()  # who asked for the abort was interrupted in that
        facts = ending.Facts(
            is_v2=producer.is_v2,
            commits=producer.state is State.COMMITTING,
            touched=producer.touched,
            in_flight=not producer.is_quiet,
            late_may_join=producer.late_may_join,
            end_asked_at=producer.end_asked_at,
            end_sent_at=producer.end_sent_at,
            txn_timeout=producer.txn_pool.settings.txn_timeout,
        )
        match ending.next_step(facts, now):
            case EndingStep.NOTHING:
                concluding.nothing_to_end(producer)
            case EndingStep.GIVE_UP:
                concluding.give_up(producer)
            case EndingStep.RENEW:
                return self._renew()
            case EndingStep.SEND:
                request, versions = concluding.end(producer)
                due = self._ask_coordinator((request, versions))
                if self._call is not None and self._call.request is request and producer.end_sent_at is None:
                    producer.end_sent_at = now
                return due
        return NEVER  # what it waits for wakes us

    def _renew(self) -> float:
        """Have the coordinator give the next epoch; return when to look again."""
        producer = self.producer
        return self._ask_coordinator(concluding.describe(producer) if producer.asks_first else beginning.initialise(producer))

    def _ask_coordinator(self, asked: Asked) -> float:
        """Ask the coordinator, which is looked up first if it is not known; return when to look again."""
        request, versions = asked
        coordinator = self.producer.coordinator
        if coordinator.node_id is None:
            sent = coordinator.find(self._done)
        else:
            self.producer.is_asking = True
            sent = coordinator.ask(request, self._done, self.actor_inbox.wake, **versions)
        if isinstance(sent, float):
            self.producer.is_asking = False
            return sent
        self._call = sent
        return NEVER if self._answer is None else monotonic()  # failed at once
