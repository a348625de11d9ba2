"""Whatever a program does with klife's objects, it gets an exception, and the same one in both builds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import klife
from klife.protocol.batch_write import write_batch
from klife.protocol.record_layout import BATCH_OVERHEAD
from klife.protocol.record_write import write_payload
from tests.support import ROOT, SUPPORT

SECONDS = 240.0  # for what takes five


def ended(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "KLIFE_PURE"}
    variables |= {"PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, str(SUPPORT / program)]
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=SECONDS)


def table(pure: str) -> dict[str, Any]:
    program = ended("abuse_public.py", KLIFE_PURE=pure)
    assert program.returncode == 0, program.stderr
    answer = json.loads(program.stdout.splitlines()[-1])
    assert answer["compiled"] == (pure == "0")
    return answer["outcomes"]  # type: ignore[no-any-return]


def test_nothing_that_is_compiled_crashes() -> None:
    program = ended("abuse_core.py")
    *crashes, count = program.stdout.splitlines() or ["", program.stderr]
    assert crashes == []
    assert int(count.removesuffix(" classes")) >= 34


def test_public_classes_refuse_the_same_in_both_builds() -> None:
    compiled, pure = table("0"), table("1")
    assert len(compiled) > 2000
    of_client = {what for what in compiled if what.startswith("wrong self: Client.") and ".__" not in what}
    assert {compiled[what] for what in of_client} == {"TypeError"}
    differ = {what: (compiled.get(what, "-"), pure.get(what, "-")) for what in compiled.keys() | pure.keys()}
    assert {what: outcomes for what, outcomes in differ.items() if outcomes[0] != outcomes[1]} == {}


@pytest.mark.parametrize("pure", ["0", "1"])
def test_records_within_records_are_freed_and_hashed_without_their_number_in_stack(pure: str) -> None:
    program = ended("deep_records.py", KLIFE_PURE=pure)
    assert (program.returncode, program.stderr) == (0, "")
    assert program.stdout.splitlines().count("hashed") == 1
    assert program.stdout.count("freed ") == 2 * 14  # in the main thread, and in one of a small stack


class Later:
    """A number that is another the second time it is looked at."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)

    def __int__(self) -> int:
        return self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]


class Flickering(tuple):  # type: ignore[type-arg]
    """Headers that are there when they are looked at for the first time, and not for the second; or the other
    way round.
    """

    def __new__(cls, there: bool) -> Flickering:
        headers = super().__new__(cls, (("h", b"x" * 100),))
        headers.there = there
        return headers

    there: bool

    def __bool__(self) -> bool:
        there, self.there = self.there, not self.there
        return there


class Changing(tuple):  # type: ignore[type-arg]
    """Headers that put another record into their batch when they are looked at, or take all out of it."""

    fields: list[Any]
    adds: bool

    def __bool__(self) -> bool:
        if self.adds:
            self.fields += [None, b"v" * 100, (), 5]
        else:
            self.fields.clear()
        return False


ROOM = 8  # what a record of one byte takes
WAYS: list[Callable[[list[Any], int], bytes]] = [
    lambda fields, bound: write_payload(fields, bound)[0],
    lambda fields, bound: write_batch(fields, bound, 1, 0, 0, False)[BATCH_OVERHEAD:],
]


@pytest.mark.parametrize("write", WAYS, ids=["payload", "batch"])
@pytest.mark.skipif(not klife.compiled, reason="in Python a number that is none is refused before anything is written")
def test_a_number_is_written_as_it_was_when_its_room_was_looked_at(write: Callable[[list[Any], int], bytes]) -> None:
    fields = [None, b"v", (), 5, None, b"v", ()]
    assert write([*fields, Later(5, 10**15)], 2 * ROOM) == write([*fields, 5], 2 * ROOM)
    with pytest.raises(RuntimeError, match="changed while they were encoded"):
        write([*fields, Later(10**15, 5)], 2 * ROOM)


@pytest.mark.parametrize("write", WAYS, ids=["payload", "batch"])
def test_records_that_take_more_than_was_counted_are_refused(write: Callable[[list[Any], int], bytes]) -> None:
    assert write([None, b"v", Flickering(False), 5], ROOM) == write([None, b"v", (), 5], ROOM)
    for fields in ([None, b"v", Flickering(True), 5], [None, b"vv", (), 5], [b"", b"v", (("h", None),), 5], [bytes(9), None, (), 5]):
        with pytest.raises(RuntimeError, match="changed while they were encoded"):
            write(fields, ROOM)


@pytest.mark.parametrize("write", WAYS, ids=["payload", "batch"])
@pytest.mark.parametrize("adds", [True, False], ids=["others come", "they go"])
@pytest.mark.parametrize("beside", [0, 1, 2])
def test_records_that_change_while_they_are_encoded_are_refused(
    beside: int, adds: bool, write: Callable[[list[Any], int], bytes]
) -> None:
    odd = Changing()
    odd.adds, odd.fields = adds, [None, b"v", odd, 5] + [None, b"v", (), 5] * beside
    with pytest.raises((RuntimeError, IndexError)):
        write(odd.fields, 1000)
