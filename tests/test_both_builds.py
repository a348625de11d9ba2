"""Which suite runs which file (tests/both_builds.py)."""

from __future__ import annotations

from collections import Counter

from tests.both_builds import BROKERS, IN_ONE_BUILD, ONCE, SUITES
from tests.support import ROOT

NAMED = [*ONCE, *BROKERS, *IN_ONE_BUILD]


def test_what_has_one_suite_is_there() -> None:
    """A file that was renamed would run in both builds, and nobody would notice."""
    assert [name for name in NAMED if not (ROOT / name).exists()] == []


def test_each_has_one() -> None:
    assert [name for name, times in Counter(NAMED).items() if times > 1] == []
    assert set(IN_ONE_BUILD.values()) <= SUITES.keys()
