"""`TransactionalProducerActor`: says to the coordinator what one transactional producer has to say, one request
at a time, and does what follows from the answers.

What is next follows from the producer's state, which stands in the value: so a successor goes on with it, and
sends again what has no answer. That is safe for each request: FindCoordinator and AddPartitionsToTxn may be
repeated, EndTxn too, and an InitProducerId whose answer was lost is told from a stranger's by the question
that follows its refusal (`fate`).
"""

from __future__ import annotations

import random
from time import monotonic
from typing import Any

from klife.actors.network.backoff import backoff
from klife.actors.network.call import Call, CallFailed
from klife.actors.producer.partition import Partition
from klife.actors.producer.producer_actor import ProducerActor
from klife.actors.settings import NEVER
from klife.actors.transactions import ending, fate
from klife.actors.transactions.fate import Question, Verdict
from klife.actors.transactions.outcome import Whose
from klife.actors.transactions.policy import DONE, Action, Request, Rule, action_for
from klife.actors.transactions.producer import TransactionalProducer
from klife.actors.transactions.state import Event, State
from klife.errors import KlifeError, ProduceError
from klife.protocol.apis.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from klife.protocol.apis.describe_transactions import DescribeTransactionsRequest, DescribeTransactionsResponse
from klife.protocol.apis.end_txn import EndTxnRequest, EndTxnResponse
from klife.protocol.apis.find_coordinator import FindCoordinatorRequest
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.error_codes import ErrorCode, describe
from klife_supervision.logs import get_logger

log = get_logger("klife.transactions")

_NOT_ATTEMPTED = ErrorCode.OPERATION_NOT_ATTEMPTED
_MARKERS_BACKOFF = 0.02  # seconds; what the coordinator needs to end the id's last transaction
_RENEWS_FROM = 3  # the version of InitProducerId that renews an id and epoch (KIP-360)
_END_V2 = 5  # the version of EndTxn that tells the next epoch (KIP-890)


class TransactionalProducerActor(ProducerActor):
    """Runs one `TransactionalProducer`."""

    producer: TransactionalProducer

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._adding: list[Partition] = []
        self._retry_at = 0.0
        self._failures = 0

    def on_start(self) -> None:
        if self.producer.end_sent_at is not None:  # our predecessor's, whose answer we do not get
            self.producer.end_in_doubt = True
        super().on_start()

    @property
    def state(self) -> str:
        """Shown in the supervision tree."""
        return f"{self.producer.transactional_id} {self.producer.state.value}"

    def _get_identity(self, now: float) -> float:
        """Say what is next; return when to look again."""
        if self._answer is not None:
            call, self._answer, self._call = self._answer, None, None
            self._take(call, now)
        producer = self.producer
        if self._call is not None:
            return NEVER
        self._look_for_failure()
        if producer.transaction is None:
            producer.txn_pool.wake()  # it may have become quiet
        if now < self._retry_at:
            return self._retry_at
        return self._say(now)

    def _look_for_failure(self) -> None:
        """A record that failed has ended the transaction; its owner need not wait for the others."""
        producer = self.producer
        error, transaction = producer.settlement.first_error, producer.transaction
        if producer.state is State.IN_TRANSACTION and error is not None and transaction is not None:
            transaction.cause = transaction.whose.not_delivered(error)
            producer.move(Event.FAIL)
            producer.stop_taking()
            producer.drop_records()

    def _say(self, now: float) -> float:
        """Send the next request, if there is one; return when to look again."""
        producer = self.producer
        state = producer.state
        if state is State.UNINITIALIZED and producer.wanted:
            producer.move(Event.INITIALIZE)
            state = producer.state
        if state is State.INITIALIZING:
            return self._ask_coordinator(self._describe() if producer.question is Question.DESCRIBE else self._initialise())
        if state is State.IN_TRANSACTION and producer.wishes:
            if producer.is_v2:
                producer.admit_next()
                return NEVER
            return self._ask_coordinator(self._add_partitions())
        if state in (State.COMMITTING, State.ABORTING):
            return self._end_transaction(now)
        return NEVER

    def _ask_coordinator(self, asked: tuple[Any, dict[str, int]]) -> float:
        request, versions = asked
        coordinator = self.producer.coordinator
        if coordinator.node_id is None:
            sent = coordinator.find(self._done)
        else:
            sent = coordinator.ask(request, self._done, self.actor_inbox.wake, **versions)
        if isinstance(sent, float):
            return sent
        self._call = sent
        return NEVER if self._answer is None else monotonic()  # failed at once

    # what is said

    def _initialise(self) -> tuple[Any, dict[str, int]]:
        producer = self.producer
        own = producer.owned
        timeout_ms = int(producer.txn_pool.settings.txn_timeout * 1000)
        if own is None:
            return InitProducerIdRequest(transactional_id=producer.transactional_id, transaction_timeout_ms=timeout_ms), {}
        return (
            InitProducerIdRequest(
                transactional_id=producer.transactional_id,
                transaction_timeout_ms=timeout_ms,
                producer_id=own[0],
                producer_epoch=own[1],
            ),
            {"min_version": _RENEWS_FROM},
        )

    def _add_partitions(self) -> tuple[Any, dict[str, int]]:
        producer = self.producer
        assert producer.owned is not None
        partitions = self._adding = list(producer.wishes)
        topics: dict[str, list[int]] = {}
        for partition in partitions:
            topics.setdefault(partition.topic, []).append(partition.partition_id)
        if producer.coordinator.node_id is not None:
            producer.touched = True
        return (
            AddPartitionsToTxnRequest(
                v3_and_below_transactional_id=producer.transactional_id,
                v3_and_below_producer_id=producer.owned[0],
                v3_and_below_producer_epoch=producer.owned[1],
                v3_and_below_topics=[AddPartitionsToTxnTopic(name=name, partitions=ids) for name, ids in topics.items()],
            ),
            {},
        )

    def _describe(self) -> tuple[Any, dict[str, int]]:
        return DescribeTransactionsRequest(transactional_ids=[self.producer.transactional_id]), {}

    def _end_transaction(self, now: float) -> float:
        producer = self.producer
        transaction = producer.transaction
        assert producer.owned is not None
        assert producer.end_asked_at is not None
        commits = producer.state is State.COMMITTING
        if producer.question is Question.DESCRIBE:
            return self._ask_coordinator(self._describe())
        facts = ending.Facts(
            is_v2=producer.is_v2,
            commits=commits,
            touched=producer.touched,
            adding=False,
            in_flight=not producer.is_quiet,
            end_sent_at=producer.end_sent_at,
            txn_timeout=producer.txn_pool.settings.txn_timeout,
        )
        step = ending.next_step(facts, now)
        if step is ending.Step.SEND and now - producer.end_asked_at >= facts.txn_timeout:
            step = ending.Step.GIVE_UP  # it could not even be sent
        if step is ending.Step.WAIT:
            return NEVER  # the batchers wake us
        if step is ending.Step.NOTHING:
            producer.ended(Event.END, committed=commits, error=None if commits or transaction is None else transaction.cause)
            return NEVER
        if step is ending.Step.GIVE_UP:
            self._give_up(commits)
            return NEVER
        request = EndTxnRequest(
            transactional_id=producer.transactional_id,
            producer_id=producer.owned[0],
            producer_epoch=producer.owned[1],
            committed=commits,
        )
        due = self._ask_coordinator((request, {"min_version": _END_V2} if producer.is_v2 else {"max_version": _END_V2 - 1}))
        if self._call is not None and self._call.request is request and producer.end_sent_at is None:
            producer.end_sent_at = now
        return due

    def _give_up(self, commits: bool) -> None:
        """No coordinator has answered for `txn_timeout`. By now it has aborted what it knew as open."""
        producer = self.producer
        transaction = producer.transaction
        error: KlifeError | None = transaction.cause if transaction is not None else None
        if commits and transaction is not None:
            why = "no coordinator answered within txn_timeout_ms"
            sent = producer.end_sent_at is not None
            error = transaction.whose.unknown(why) if sent else transaction.whose.aborted(f"{why}, so the commit was not sent")
        producer.end_in_doubt = True
        producer.ended(Event.LOSE, error=error)

    # answers

    def _take(self, call: Call, now: float) -> None:
        request = call.request
        if isinstance(request, FindCoordinatorRequest):
            self._found(call, now)
        elif isinstance(request, InitProducerIdRequest):
            self._initialised(call, now)
        elif isinstance(request, AddPartitionsToTxnRequest):
            self._added(call, now)
        elif isinstance(request, DescribeTransactionsRequest):
            self._described(call, now)
        else:
            self._end_answered(call, now)

    def _again(self, now: float, *, finds: bool = False, soon: bool = False) -> None:
        """The same once more, after a pause."""
        settings = self.producer.settings
        self._failures += 1
        if finds:
            self.producer.coordinator.lost()
        wait = backoff(self._failures, settings.retry_backoff, settings.retry_backoff_max, random.random())
        self._retry_at = now + (min(wait, _MARKERS_BACKOFF) if soon else wait)

    def _went_well(self) -> None:
        self._failures = 0
        self._retry_at = 0.0
        self.producer.identities.error = None

    def _rule(self, request: Request, call: Call, code: int | None) -> Rule:
        """The row for an answer; a request that this broker can not be asked is refused."""
        if code == ErrorCode.NONE:
            return DONE
        if code is None and not isinstance(call.error, CallFailed):
            code = ErrorCode.UNSUPPORTED_VERSION
        rule = action_for(request, code, state=self.producer.state)
        if rule.action is not Action.DONE:
            why = describe(code) if code is not None else str(call.error)
            self.producer.identities.error = why
            log.info("transaction_request_refused", request=request.value, id=self.producer.transactional_id, error=why)
        return rule

    def _found(self, call: Call, now: float) -> None:
        code = self.producer.coordinator.found(call.response) if call.response is not None else None
        rule = self._rule(Request.FIND_COORDINATOR, call, code)
        if rule.action is Action.DONE:
            self._went_well()
        elif rule.action is Action.REFUSED and self.producer.state is State.INITIALIZING:
            self._refused(rule, code)
        else:
            self._again(now)

    def _refused(self, rule: Rule, code: int | None) -> None:
        producer = self.producer
        producer.wanted = False
        producer.move(Event.LOSE)
        producer.txn_pool.refused(Whose(producer.txn_pool.name, producer.transactional_id).refused(rule, code))

    def _initialised(self, call: Call, now: float) -> None:
        producer = self.producer
        response: InitProducerIdResponse | None = call.response
        code = response.error_code if response is not None else None
        if code is None and producer.owned is not None and not isinstance(call.error, CallFailed):
            producer.owned = None  # this broker can not renew; an id that is asked for afresh fences what was before
            return
        rule = self._rule(Request.INIT_PRODUCER_ID, call, code)
        if rule.action is Action.DONE and response is not None:
            self._went_well()
            producer.initialised(response.producer_id, response.producer_epoch)
        elif rule.action is Action.ASK and producer.owned is not None:
            producer.question = Question.DESCRIBE
        elif rule.action is Action.REFUSED:
            self._refused(rule, code)
        else:
            self._again(now, finds=rule.action is Action.FIND, soon=code == ErrorCode.CONCURRENT_TRANSACTIONS)

    def _added(self, call: Call, now: float) -> None:
        producer = self.producer
        response: AddPartitionsToTxnResponse | None = call.response
        if response is not None and not any(
            result.partition_error_code for topic in response.results_by_topic_v3_and_below for result in topic.results_by_partition
        ):
            producer.added = True
        if producer.state is not State.IN_TRANSACTION:
            return  # it is being ended meanwhile
        if response is None:
            rule = self._rule(Request.ADD_PARTITIONS, call, None)
            if rule.action in (Action.FIND, Action.AGAIN):
                self._again(now, finds=True)
            else:
                self._fail(rule, None)
            return
        codes = {
            (topic.name, result.partition_index): result.partition_error_code
            for topic in response.results_by_topic_v3_and_below
            for result in topic.results_by_partition
        }
        code = next((each for each in codes.values() if each and each != _NOT_ATTEMPTED), 0)
        rule = self._rule(Request.ADD_PARTITIONS, call, code)
        if rule.action is Action.DONE:
            self._went_well()
            producer.admit([each for each in self._adding if (each.topic, each.partition_id) in codes])
        elif rule.action in (Action.AGAIN, Action.FIND):
            first = not (producer.identities.current is not None and producer.identities.current.admitted)
            self._again(now, finds=rule.action is Action.FIND, soon=first and code == ErrorCode.CONCURRENT_TRANSACTIONS)
        else:
            denied = sorted({topic for (topic, _), each in codes.items() if each == code})
            self._fail(rule, code, f" (topic {', '.join(map(repr, denied))})")

    def _fail(self, rule: Rule, code: int | None, where: str = "") -> None:
        """The transaction can only be aborted."""
        producer = self.producer
        text = f"{rule.text}{where}" + (f"; {rule.advice}" if rule.advice else "")
        producer.settlement.first_error = ProduceError(text, error_code=code, retriable=rule.retriable)
        self._look_for_failure()

    def _end_answered(self, call: Call, now: float) -> None:
        producer = self.producer
        response: EndTxnResponse | None = call.response
        code = response.error_code if response is not None else None
        if producer.transaction is None or producer.state not in (State.COMMITTING, State.ABORTING):
            return
        if call.request.committed != (producer.state is State.COMMITTING):
            return
        rule = self._rule(Request.END_TXN, call, code)
        if code is None and isinstance(call.error, CallFailed):
            if call.error.sent:
                producer.end_in_doubt = True
            elif not producer.end_in_doubt:
                producer.end_sent_at = None
        if rule.action in (Action.AGAIN, Action.FIND):
            self._again(now, finds=rule.action is Action.FIND, soon=code == ErrorCode.CONCURRENT_TRANSACTIONS)
        elif rule.action is Action.DONE and response is not None:
            if producer.end_sent_at is not None and not self._failures:
                producer.txn_pool.connections.answered(now - producer.end_sent_at)
            self._went_well()
            self._ended_well(response)
        elif producer.state is State.COMMITTING:
            self._commit_refused(rule, code)
        elif code is not None and fate.after_abort(code) is Verdict.DESCRIBE:
            producer.question = Question.DESCRIBE
        else:
            producer.ended(Event.LOSE, error=producer.transaction.cause)

    def _ended_well(self, response: EndTxnResponse) -> None:
        producer = self.producer
        transaction = producer.transaction
        assert transaction is not None
        committed = producer.state is State.COMMITTING
        error = transaction.cause
        timed_out = error is not None and not committed and _asked(error)
        # In v1 the epoch stays what it was, so that a record which was given up has lost its sequence for
        # good.
        clean = committed or (not timed_out and (producer.is_v2 or producer.settlement.first_error is None))
        if producer.is_v2 and response.producer_id >= 0:
            producer.owned = response.producer_id, response.producer_epoch
        if timed_out and not getattr(error, "possibly_committed", False):
            error = transaction.whose.timed_out(producer.txn_pool.settings.txn_timeout, error_code=_code(error))
        producer.ended(Event.END if clean else Event.LOSE, committed=committed, error=None if committed else error)

    def _commit_refused(self, rule: Rule, code: int | None) -> None:
        producer = self.producer
        transaction = producer.transaction
        assert transaction is not None
        if producer.end_in_doubt and (code is None or not fate.settles_commit(code)):
            transaction.cause = transaction.whose.unknown(rule.text, error_code=code)
        else:
            transaction.cause = transaction.whose.aborted_by(rule, code)
        if rule.action is Action.ANEW:
            producer.ended(Event.LOSE, error=transaction.cause)
            return
        producer.move(Event.FAIL)
        producer.move(Event.ABORT)
        producer.end_sent_at = None
        producer.drop_records()

    def _described(self, call: Call, now: float) -> None:
        producer = self.producer
        response: DescribeTransactionsResponse | None = call.response
        if producer.owned is None:
            producer.question = None
            return
        own_id, own_epoch = producer.owned
        verdict = Verdict.CLOCK
        if response is None and isinstance(call.error, CallFailed):
            verdict = Verdict.FIND
        elif response is not None and response.transaction_states:
            told = response.transaction_states[0]
            ours = told.producer_id == own_id and told.producer_epoch in (own_epoch, own_epoch + 1)
            verdict = fate.after_description(
                told.error_code,
                told.transaction_state,
                told.producer_id,
                told.producer_epoch,
                own_id=own_id,
                own_epoch=own_epoch,
                own_ends=fate.own_ends(
                    is_v2=producer.is_v2,
                    was_open=producer.was_open,
                    end_in_doubt=producer.end_in_doubt,
                    is_overdue=producer.is_overdue(now),
                ),
            )
            if verdict is Verdict.TIMED_OUT:
                producer.owned = (told.producer_id, told.producer_epoch) if not told.error_code and ours else None
        if verdict is Verdict.CLOCK:
            verdict = fate.by_clock(was_open=producer.was_open, is_overdue=producer.is_overdue(now))
            producer.owned = None if verdict is Verdict.TIMED_OUT else producer.owned
        if verdict in (Verdict.AGAIN, Verdict.FIND):
            self._again(now, finds=verdict is Verdict.FIND)
            return
        producer.question = None
        self._went_well()
        self._settle(verdict)

    def _settle(self, verdict: Verdict) -> None:
        """It is known whether the transaction timed out, or somebody has the id."""
        producer = self.producer
        transaction = producer.transaction
        cause = transaction.cause if transaction is not None else None
        doubt = getattr(cause, "possibly_committed", False)
        if verdict is Verdict.FENCED:
            whose = Whose(producer.txn_pool.name, producer.transactional_id)
            producer.txn_pool.fence(whose.fenced(error_code=_code(cause)))
            producer.wanted = False
            producer.ended(Event.FENCE, error=whose.fenced(error_code=_code(cause), possibly_committed=doubt))
        elif transaction is not None:
            error = cause
            if cause is not None and not doubt and _asked(cause):
                error = transaction.whose.timed_out(producer.txn_pool.settings.txn_timeout, error_code=_code(cause))
            producer.ended(Event.LOSE, error=error)
        # Else it is being initialised, and goes on with what `owned` is now.


def _code(error: KlifeError | None) -> int | None:
    code: int | None = getattr(error, "error_code", None)
    return code


def _asked(error: KlifeError) -> bool:
    """Whether the error's code may mean that the transaction timed out."""
    code = _code(error)
    return code is not None and action_for(Request.PRODUCE, code, state=State.IN_TRANSACTION).action is Action.ASK
