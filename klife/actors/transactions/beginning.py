"""How a transactional producer gets ready for records: its coordinator, its id and epoch, and, in v1, the
partitions of a transaction. Each request beside what its answer does to the producer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from klife.actors.network.call import Call, CallFailed
from klife.actors.producer.partition import Partition
from klife.actors.transactions.asking import Asked, Asking, log
from klife.actors.transactions.fate import MAY_BE_DONE
from klife.actors.transactions.outcome import Whose
from klife.actors.transactions.policy import Action, Request, Rule
from klife.actors.transactions.producer import TransactionalProducer
from klife.actors.transactions.state import Event, State
from klife.errors import ProduceError
from klife.protocol.apis.add_partitions_to_txn import (
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnTopic,
)
from klife.protocol.apis.init_producer_id import InitProducerIdRequest, InitProducerIdResponse
from klife.protocol.error_codes import ErrorCode

_NOT_ATTEMPTED = ErrorCode.OPERATION_NOT_ATTEMPTED
_RENEWS_FROM = 3  # the version of InitProducerId that renews an id and epoch (KIP-360)


# the coordinator


def found(asking: Asking, call: Call, now: float) -> None:
    """FindCoordinator was answered."""
    producer = asking.producer
    code = producer.coordinator.found(call.response) if call.response is not None else None
    rule = asking.rule(Request.FIND_COORDINATOR, call, code)
    if rule.action is Action.DONE:
        asking.went_well()
    elif rule.action is Action.REFUSED and producer.state is State.INITIALIZING:
        _refused(producer, rule, code)
    else:
        asking.again(now)


def _refused(producer: TransactionalProducer, rule: Rule, code: int | None) -> None:
    """Nothing can be begun."""
    producer.wanted = False
    producer.move(Event.LOSE)
    producer.txn_pool.refused(Whose(producer.txn_pool.name, producer.transactional_id).refused(rule, code))


# id and epoch


def initialise(producer: TransactionalProducer) -> Asked:
    """InitProducerId, for the next epoch of the id that it has, if it has one."""
    request = InitProducerIdRequest(
        transactional_id=producer.transactional_id, transaction_timeout_ms=producer.txn_pool.marked_timeout_ms
    )
    if producer.owned is None:
        return request, {}
    if producer.touched:  # what is open the coordinator ends first, by another epoch yet
        producer.renewal_in_doubt = True
    request.producer_id, request.producer_epoch = producer.owned
    return request, {"min_version": _RENEWS_FROM}


def initialised(asking: Asking, call: Call, now: float) -> None:
    """InitProducerId was answered."""
    producer = asking.producer
    response: InitProducerIdResponse | None = call.response
    code = response.error_code if response is not None else None
    if code is None and producer.owned is not None and not isinstance(call.error, CallFailed):
        producer.owned = None  # this broker can not renew; an id that is asked for afresh fences what was before
        return
    if code in MAY_BE_DONE:
        producer.renewal_in_doubt = True
    if code == ErrorCode.INVALID_TRANSACTION_TIMEOUT and producer.txn_pool.drop_mark():
        return
    rule = asking.rule(Request.INIT_PRODUCER_ID, call, code)
    if rule.action is Action.DONE and response is not None:
        asking.went_well()
        log.debug(
            "transactional_producer_initialised", id=producer.transactional_id, owned=(response.producer_id, response.producer_epoch)
        )
        producer.initialised(response.producer_id, response.producer_epoch)
    elif rule.action is Action.ASK and producer.owned is not None:
        producer.is_in_question = True
    elif rule.action is Action.REFUSED:
        _refused(producer, rule, code)
    else:
        asking.again(now, rule)


# the partitions of a transaction, in v1


def add_partitions(producer: TransactionalProducer, partitions: list[Partition]) -> Asked:
    """AddPartitionsToTxn, for `partitions`, which are those that are being added now."""
    assert producer.owned is not None
    producer.admission.adding = partitions
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


def added(asking: Asking, call: Call, now: float) -> None:
    """AddPartitionsToTxn was answered."""
    producer = asking.producer
    codes = _codes(call.response) if call.response is not None else None
    if codes is not None and not any(codes.values()):
        producer.added = True
    if producer.state is not State.IN_TRANSACTION:
        return  # it is being ended meanwhile
    code = _worst(codes.values()) if codes is not None else None
    rule = asking.rule(Request.ADD_PARTITIONS, call, code)
    if rule.action is Action.DONE and codes is not None:
        asking.went_well()
        producer.admission.admit([each for each in producer.admission.adding if _key(each) in codes])
    elif rule.action in (Action.AGAIN, Action.FIND):
        asking.again(now, rule)
    else:
        denied = sorted({topic for (topic, _), each in (codes or {}).items() if each == code})
        if denied:
            rule = replace(rule, text=f"{rule.text} (topic {', '.join(map(repr, denied))})")
        _refuse_partitions(producer, rule, code)


def _key(partition: Partition) -> tuple[str, int]:
    return partition.topic, partition.partition_id


def _codes(response: AddPartitionsToTxnResponse) -> dict[tuple[str, int], int]:
    """The answer's code for each partition."""
    return {
        (topic.name, result.partition_index): result.partition_error_code
        for topic in response.results_by_topic_v3_and_below
        for result in topic.results_by_partition
    }


def _worst(codes: Iterable[int]) -> int:
    """Of an answer's codes, the one that says why partitions were not added; 0 if all were."""
    refused = [each for each in codes if each]
    return next((each for each in refused if each != _NOT_ATTEMPTED), max(refused, default=0))


def _refuse_partitions(producer: TransactionalProducer, rule: Rule, code: int | None) -> None:
    """The transaction can only be aborted."""
    assert producer.transaction is not None
    producer.settlement.first_error = ProduceError(rule.text, error_code=code, retriable=rule.retriable)
    producer.fail(producer.transaction.whose.aborted_by(rule, code))
