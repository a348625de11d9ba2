"""A transactional producer: its identity is the coordinator's, and a partition is admitted before it sends."""

from __future__ import annotations

import pytest

from klife.actors.producer.identity import Identity
from klife.actors.producer.policy import Action, rule_for
from klife.actors.producer.refusal import Refusal
from klife.protocol.error_codes import ErrorCode
from tests.support.producer_parts import Parts


def a_transaction(parts: Parts, epoch: int = 0) -> Identity:
    """Another transaction begins, under this epoch."""
    identity = Identity(7, epoch, admitted=set())
    parts.producer.identities.found(identity)
    return identity


def transactional() -> Parts:
    return Parts(transactional_id="shop-0")


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("code", [*ErrorCode, 9999])
def test_no_answer_makes_it_bump_its_epoch_or_let_go_of_its_id(code: int, unknown: bool) -> None:
    parts = transactional()
    batch = parts.sent(3)

    rule = rule_for(code, transactional=True)
    if rule.action is not Action.DELIVERED:
        batch.fate_unknown = unknown
        parts.producer.refused(parts.of(batch), batch, Refusal(code, rule, None, {}))
    assert parts.producer.identity is parts.identity, "only the coordinator makes epochs"


def test_nothing_leaves_before_its_partition_is_admitted() -> None:
    parts = transactional()
    identity = a_transaction(parts)
    batch = parts.batch()
    partition = parts.of(batch)
    assert partition.head(1e12, 0.0) is batch
    assert not partition.take(batch, identity)
    assert partition.pending == [batch], "nothing was done"
    assert identity.admitted is not None
    identity.admitted.add(partition)
    assert partition.take(batch, identity)
    assert (batch.identity, batch.sequence) == (identity, 0)


@pytest.mark.parametrize(("epoch", "sequence"), [(0, 1), (1, 0)])
def test_sequences_go_on_under_the_same_epoch_and_begin_anew_under_the_next(epoch: int, sequence: int) -> None:
    parts = transactional()
    for number, (each, expected) in enumerate([(0, 0), (epoch, sequence)]):
        identity = a_transaction(parts, each)
        batch = parts.batch()
        assert identity.admitted is not None
        identity.admitted.add(parts.of(batch))
        parts.send(batch)
        assert batch.sequence == expected
        parts.delivered(batch, number)
