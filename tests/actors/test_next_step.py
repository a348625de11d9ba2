"""What a batcher does when it wakes: all that there is to decide, as a table."""

from __future__ import annotations

from itertools import product
from unittest.mock import Mock

import pytest

from klife.actors.producer.batcher_actor import BatcherStep, next_step

WHATEVER = (False, True)
NO, YES = (False,), (True,)

# late, ready, room, connected, complete, whether the budget is over
TABLE = [
    (YES, WHATEVER, WHATEVER, WHATEVER, WHATEVER, WHATEVER, BatcherStep.JUDGE_FIRST),
    (NO, NO, WHATEVER, WHATEVER, WHATEVER, WHATEVER, BatcherStep.WAIT),  # a caller's first record wakes it
    (NO, YES, NO, WHATEVER, WHATEVER, WHATEVER, BatcherStep.WAIT),  # the next answer does
    (NO, YES, YES, NO, WHATEVER, WHATEVER, BatcherStep.CONNECT),
    (NO, YES, YES, YES, NO, WHATEVER, BatcherStep.GATHER),
    (NO, YES, YES, YES, YES, YES, BatcherStep.GATHER),  # behind others, who have sent theirs
    (NO, YES, YES, YES, YES, NO, BatcherStep.SEND),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[-1].value)
def test_each_row(row: tuple[object, ...]) -> None:
    *facts, step = row
    for each in product(*facts):  # type: ignore[call-overload]
        *others, over = each
        budget = Mock(return_value=over)
        assert next_step(*others, budget) is step
        assert budget.called is (others == [False, True, True, True, True]), "to ask begins it"


def test_the_table_has_each_case_once() -> None:
    assert sorted(each for *facts, _ in TABLE for each in product(*facts)) == sorted(product(*[WHATEVER] * 6))
