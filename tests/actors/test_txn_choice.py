"""Which producer of a pool goes out next, and who has to wait."""

from __future__ import annotations

import random

import pytest

from klife.actors.transactions.choice import MADE_PER_OPEN, NEVER_USED, RESTED, Choice, Way, choose

NOW = 1000.0
LONG, SHORT = NOW - RESTED, NOW - RESTED / 2

# resting, lost, out -> what a caller of a pool of 2 gets, if no others are being made
TABLE: list[tuple[dict[str, float], list[str], int, Choice]] = [
    ({}, [], 0, Choice(Way.MAKE)),
    ({}, [], 1, Choice(Way.MAKE)),
    ({}, [], 2, Choice(Way.WAIT)),
    ({"a": LONG}, [], 2, Choice(Way.WAIT)),
    ({"a": LONG}, [], 1, Choice(Way.TAKE, "a")),
    ({"a": SHORT}, [], 0, Choice(Way.MAKE)),
    ({"a": SHORT}, ["x"], 0, Choice(Way.RENEW, "x")),
    ({"a": LONG}, ["x"], 0, Choice(Way.TAKE, "a")),
    ({"a": SHORT, "b": SHORT - 0.01}, [], 1, Choice(Way.MAKE)),
    ({"a": SHORT, "b": SHORT - 0.01, "c": SHORT}, [], 1, Choice(Way.TAKE, "b")),
    ({"a": LONG, "b": NEVER_USED}, [], 0, Choice(Way.TAKE, "b")),
    ({"a": NEVER_USED, "b": NEVER_USED}, [], 0, Choice(Way.TAKE, "a")),
    ({}, ["x", "y"], 1, Choice(Way.RENEW, "x")),
]


@pytest.mark.parametrize(("resting", "lost", "out", "choice"), TABLE)
def test_what_a_caller_gets(resting: dict[str, float], lost: list[str], out: int, choice: Choice) -> None:
    assert choose(resting, lost, out, out + len(resting) + len(lost), pool_size=2, now=NOW) == choice


def test_while_all_are_being_made_a_caller_waits_for_the_first_of_them() -> None:
    assert choose({}, [], 0, 4, pool_size=2, now=NOW) == Choice(Way.WAIT)
    assert choose({"a": NEVER_USED}, [], 0, 4, pool_size=2, now=NOW) == Choice(Way.TAKE, "a")


def test_the_longest_rested_goes_out_first_so_that_a_lone_caller_never_waits_for_markers() -> None:
    """KAFKA-18654 and others: back-to-back transactions of one id wait 20-300 ms for the last one's markers."""
    resting: dict[int, float] = {}
    now, made = 0.0, 0
    for _ in range(100):
        way, slot = choose(resting, [], 0, made, pool_size=20, now=now)  # type: ignore[arg-type]
        if way is Way.MAKE:
            made += 1
            slot = made
        else:
            assert isinstance(slot, int)
            assert now - resting.pop(slot) >= RESTED
        now += 0.007
        resting[slot] = now
    assert made == 11


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_no_more_are_open_than_the_pool_s_size_nor_made_than_twice_that(seed: int) -> None:
    rng = random.Random(seed)
    size = rng.randint(1, 5)
    resting: dict[object, float] = {}
    lost: list[object] = []
    out: list[object] = []
    made, now, served = 0, 0.0, 0
    for _ in range(2000):
        now += rng.random() * 0.05
        if rng.random() < 0.5:
            way, slot = choose(resting, lost, len(out), made, pool_size=size, now=now)
            assert (way is Way.WAIT) == (len(out) == size)
            if way is Way.MAKE:
                made += 1
                slot = made
            elif way is Way.TAKE:
                del resting[slot]
            elif way is Way.RENEW:
                lost.remove(slot)
            if way is not Way.WAIT:
                served += 1
                out.append(slot)
        elif out:
            slot = out.pop(rng.randrange(len(out)))
            if rng.random() < 0.2:
                lost.append(slot)
            else:
                resting[slot] = now
        assert len(out) <= size
        assert made == len(out) + len(resting) + len(lost) <= MADE_PER_OPEN * size
    assert served > 300
