"""Whatever a program does with klife's objects, it gets an exception, and the same one in both builds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

import klife
from klife.protocol.record_write import write_batch, write_payload, write_within
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

    looked = False

    def __int__(self) -> int:
        self.looked, looked = True, self.looked
        return 10**15 if looked else 5


@pytest.mark.skipif(not klife.compiled, reason="in Python a number that is none is refused before anything is written")
def test_a_batch_is_not_written_beyond_the_place_that_was_made_for_it() -> None:
    fields = [None, b"v", (), 5, None, b"v", (), Later()]
    with pytest.raises(RuntimeError, match="changed while they were encoded"):
        write_payload(fields)
    fields[-1] = Later()
    with pytest.raises(RuntimeError, match="changed while they were encoded"):
        write_batch(fields, 1, 0, 0)


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


class Adding(tuple):  # type: ignore[type-arg]
    """Headers that put another record into their batch when they are looked at."""

    fields: list[Any]

    def __bool__(self) -> bool:
        self.fields += [None, b"v" * 100, (), 5]
        return False


@pytest.mark.parametrize("headers", ["come", "go", "add a record"])
def test_records_that_change_while_they_are_encoded_are_refused(headers: str) -> None:
    for write in (write_payload, lambda fields: write_batch(fields, 1, 0, 0)):
        odd: Any = Adding() if headers == "add a record" else Flickering(headers == "go")
        odd.fields = [None, b"v", odd, 5]
        with pytest.raises(RuntimeError, match="changed while they were encoded"):
            write(odd.fields)


@pytest.mark.parametrize("headers", ["more than was counted", "add a record"])
def test_nor_are_records_written_that_take_more_than_was_counted(headers: str) -> None:
    odd: Any = Adding() if headers == "add a record" else Flickering(True)
    odd.fields = [None, b"v", odd, 5]
    with pytest.raises(RuntimeError, match="changed while they were encoded"):
        write_within(33, odd.fields, 1, 0, 0, False)
