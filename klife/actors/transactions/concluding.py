"""How a transaction comes to its end: EndTxn, what its answers say of it, and, where they leave open whether it
timed out or its producer was fenced, the questions that follow (`fate`). What is sent next is decided by
`ending`.
"""

from __future__ import annotations

from time import monotonic

from klife.actors.network.call import Call, CallFailed
from klife.actors.transactions import fate
from klife.actors.transactions.asking import Asked, Asking, log
from klife.actors.transactions.fate import Verdict
from klife.actors.transactions.outcome import Whose
from klife.actors.transactions.policy import Action, Request, Rule, action_for
from klife.actors.transactions.producer import TransactionalProducer
from klife.actors.transactions.state import Event, State, after
from klife.errors import KlifeError
from klife.protocol.apis.describe_transactions import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    TransactionState,
)
from klife.protocol.apis.end_txn import EndTxnRequest, EndTxnResponse
from klife.protocol.apis.init_producer_id import InitProducerIdResponse

_END_V2 = 5  # the version of EndTxn that tells the next epoch (KIP-890)

# the end


def end(producer: TransactionalProducer) -> Asked:
    """EndTxn, for a commit or an abort, as the state says."""
    assert producer.owned is not None
    request = EndTxnRequest(
        transactional_id=producer.transactional_id,
        producer_id=producer.owned[0],
        producer_epoch=producer.owned[1],
        committed=producer.state is State.COMMITTING,
    )
    return request, ({"min_version": _END_V2} if producer.is_v2 else {"max_version": _END_V2 - 1})


def nothing_to_end(producer: TransactionalProducer) -> None:
    """The coordinator never heard of it."""
    transaction, commits = producer.transaction, producer.state is State.COMMITTING
    producer.ended(Event.END, committed=commits, error=None if commits or transaction is None else transaction.cause)


def give_up(producer: TransactionalProducer) -> None:
    """No coordinator has answered for `txn_timeout`. By now it has aborted what it knew as open."""
    transaction = producer.transaction
    error: KlifeError | None = transaction.cause if transaction is not None else None
    if producer.state is State.COMMITTING and transaction is not None:
        why = "no coordinator answered within txn_timeout_ms"
        sent = producer.end_sent_at is not None
        error = transaction.whose.unknown(why) if sent else transaction.whose.aborted(f"{why}, so the commit was not sent")
    producer.end_in_doubt = True
    producer.ended(Event.LOSE, error=error)


def end_answered(asking: Asking, call: Call, now: float) -> None:
    """EndTxn was answered."""
    producer = asking.producer
    response: EndTxnResponse | None = call.response
    code = response.error_code if response is not None else None
    if producer.transaction is None or producer.state not in (State.COMMITTING, State.ABORTING):
        return
    if call.request.committed != (producer.state is State.COMMITTING):
        return
    rule = asking.rule(Request.END_TXN, call, code)
    if code in fate.MAY_BE_DONE:
        producer.end_in_doubt = True
    if code is None and isinstance(call.error, CallFailed):
        if call.error.sent:
            producer.end_in_doubt = True
        elif not producer.end_in_doubt:
            producer.end_sent_at = None
    if rule.action in (Action.AGAIN, Action.FIND):
        asking.again(now, rule)
    elif rule.action is Action.DONE and response is not None:
        if producer.end_sent_at is not None and asking.is_first:
            producer.txn_pool.connections.answered(now - producer.end_sent_at)
        asking.went_well()
        _ended_well(producer, response)
    elif producer.state is State.COMMITTING:
        _commit_refused(producer, rule, code)
    elif code is not None and fate.after_abort(code) is Verdict.DESCRIBE:
        producer.is_in_question = True
    else:
        producer.ended(Event.LOSE, error=producer.transaction.cause)


def _ended_well(producer: TransactionalProducer, response: EndTxnResponse) -> None:
    transaction = producer.transaction
    assert transaction is not None
    committed = producer.state is State.COMMITTING
    error = transaction.cause
    timed_out = error is not None and not committed and _asked(error)
    # In v1 the epoch stays what it was. So a record that was given up has lost its sequence for good, and an EndTxn
    # or AddPartitionsToTxn that is still on its way somewhere would end, or open, the next transaction.
    epoch_lasts = producer.is_v2 or not (producer.is_unheard or (producer.settlement.first_error is not None and not committed))
    clean = epoch_lasts and not timed_out
    owned = (response.producer_id, response.producer_epoch) if producer.is_v2 and response.producer_id >= 0 else None
    if timed_out and not getattr(error, "possibly_committed", False):
        error = _ended_by_brokers(producer, transaction.whose, _code(error))
    event = Event.END if clean else Event.LOSE
    producer.ended(event, committed=committed, error=None if committed else error, owned=owned, is_done=True)


def _commit_refused(producer: TransactionalProducer, rule: Rule, code: int | None) -> None:
    transaction = producer.transaction
    assert transaction is not None
    if producer.end_in_doubt and (code is None or not fate.settles_commit(code)):
        transaction.cause = transaction.whose.unknown(rule.text, error_code=code)
    else:
        transaction.cause = transaction.whose.aborted_by(rule, code)
    if rule.action is Action.ANEW:
        producer.ended(Event.LOSE, error=transaction.cause)
        return
    aborting = after(after(producer.state, Event.FAIL), Event.ABORT)
    producer.state, producer.end_sent_at = aborting, None  # both or, if a signal handler raises, none
    producer.drop_records()


def aborted_by_renewal(asking: Asking, call: Call, now: float) -> None:
    """InitProducerId was answered, which was to abort. As a rule it is refused once it has: by raising the epoch it
    made ours an old one.
    """
    producer = asking.producer
    response: InitProducerIdResponse | None = call.response
    rule = asking.rule(Request.INIT_PRODUCER_ID, call, response.error_code if response is not None else None)
    if rule.action is Action.DONE and response is not None:
        asking.went_well()
        producer.owned = response.producer_id, response.producer_epoch
        _settle(producer, Verdict.TIMED_OUT)
    elif rule.action is Action.ASK:
        producer.is_in_question = True
    elif rule.action in (Action.AGAIN, Action.FIND):
        asking.again(now, rule)
    else:
        assert producer.transaction is not None
        producer.ended(Event.LOSE, error=producer.transaction.cause)


# timed out, or fenced


def describe(producer: TransactionalProducer) -> Asked:
    """DescribeTransactions, of its id: of one that was refused, or is about to be renewed (`asks_first`)."""
    return DescribeTransactionsRequest(transactional_ids=[producer.transactional_id]), {}


def described(asking: Asking, call: Call, now: float) -> None:
    """DescribeTransactions was answered."""
    producer = asking.producer
    response: DescribeTransactionsResponse | None = call.response
    owned = producer.owned
    if owned is None:
        producer.is_in_question = False
        return
    verdict, told, was_refused = Verdict.CLOCK, None, producer.is_in_question
    if response is None and isinstance(call.error, CallFailed):
        verdict = Verdict.FIND
    elif response is not None and response.transaction_states:
        told = response.transaction_states[0]
        verdict = _verdict(producer, told, now)
        log.debug(
            "transaction_described",
            id=producer.transactional_id,
            owned=owned,
            error=told.error_code,
            transaction=told.transaction_state,
            described=(told.producer_id, told.producer_epoch),
            verdict=verdict.value,
        )
    if verdict is Verdict.CLOCK and not was_refused:
        verdict = Verdict.TIMED_OUT  # nobody tells: it is renewed as if nobody had been asked
    elif verdict is Verdict.CLOCK:
        verdict = fate.by_clock(was_open=producer.was_open, is_overdue=producer.is_overdue(now))
        producer.owned = None if verdict is Verdict.TIMED_OUT else producer.owned
    if verdict in (Verdict.AGAIN, Verdict.FIND):
        if verdict is Verdict.FIND:
            producer.coordinator.lost()
        asking.again(now)
        return
    producer.is_in_question = False
    asking.went_well()
    if verdict is Verdict.FENCED and _is_own_doing(producer, told, now):
        verdict = Verdict.TIMED_OUT
        # Unless somebody is just about to take it: who then asks again before we do, and has it.
        asking.retry_at = now + producer.settings.retry_backoff_max
    if verdict is Verdict.TIMED_OUT:
        producer.described = producer.owned
        if not was_refused and producer.owned is not None:
            return  # it is renewed next
    _settle(producer, verdict)


def _is_own_doing(producer: TransactionalProducer, told: TransactionState | None, now: float) -> bool:
    """Whether what looks like another owner was left by requests of our own; then it is renewed from what it is
    now, so that it stays another's if one takes it over before.
    """
    known = told if told is not None and not told.error_code else None
    if not fate.is_own_doing(
        initialised_last=producer.txn_pool.initialised_last(known.transaction_timeout_ms if known is not None else None),
        may_fence_itself=producer.may_fence_itself,
        was_touched=producer.touched,
        is_overdue=producer.is_overdue(now),
    ):
        return False
    producer.owned = (known.producer_id, known.producer_epoch) if known is not None else None
    return True


def _verdict(producer: TransactionalProducer, told: TransactionState, now: float) -> Verdict:
    """What the description means; if the id is ours, the producer owns it as it is described."""
    assert producer.owned is not None
    own_id, own_epoch = producer.owned
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
        ours = told.producer_id == own_id and told.producer_epoch in (own_epoch, own_epoch + 1)
        producer.owned = (told.producer_id, told.producer_epoch) if not told.error_code and ours else None
    return verdict


def _settle(producer: TransactionalProducer, verdict: Verdict) -> None:
    """It is known whether the transaction timed out, or somebody has the id."""
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
            error = _ended_by_brokers(producer, transaction.whose, _code(cause))
        producer.ended(Event.LOSE, error=error)
    # Else it is being initialised, and goes on with what `owned` is now.


def _ended_by_brokers(producer: TransactionalProducer, whose: Whose, code: int | None) -> KlifeError:
    if producer.is_overdue(monotonic()):
        return whose.timed_out(producer.txn_pool.settings.txn_timeout, error_code=code)
    return whose.ended_early(error_code=code)


def _code(error: KlifeError | None) -> int | None:
    code: int | None = getattr(error, "error_code", None)
    return code


def _asked(error: KlifeError) -> bool:
    """Whether the error's code may mean that the transaction timed out."""
    code = _code(error)
    return code is not None and action_for(Request.PRODUCE, code, state=State.IN_TRANSACTION).action is Action.ASK
