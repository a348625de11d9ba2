"""What a batcher does when it wakes: all that there is to decide, as a table."""

from __future__ import annotations

from itertools import product

import pytest

from klife.actors.producer.batcher_actor import Step, next_step

WHATEVER = (False, True)
NO, YES = (False,), (True,)

# late, ready, room, connected, complete
TABLE = [
    (YES, WHATEVER, WHATEVER, WHATEVER, WHATEVER, Step.JUDGE_FIRST),
    (NO, NO, WHATEVER, WHATEVER, WHATEVER, Step.WAIT),  # a caller's first record wakes it
    (NO, YES, NO, WHATEVER, WHATEVER, Step.WAIT),  # the next answer does
    (NO, YES, YES, NO, WHATEVER, Step.CONNECT),
    (NO, YES, YES, YES, NO, Step.GATHER),
    (NO, YES, YES, YES, YES, Step.SEND),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[-1].value)
def test_each_row(row: tuple[object, ...]) -> None:
    *facts, step = row
    for each in product(*facts):  # type: ignore[call-overload]
        assert next_step(*each) is step


def test_the_table_has_each_case_once() -> None:
    assert sorted(each for *facts, _ in TABLE for each in product(*facts)) == sorted(product(*[WHATEVER] * 5))
