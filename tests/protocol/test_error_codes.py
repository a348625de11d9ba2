"""The table of error codes against Kafka's own enum, and the answers a caller gets for codes in it and not in
it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from klife.protocol.error_codes import ErrorCode, describe, error_name, is_retriable
from tests.support import TESTS

ORACLE = TESTS / "oracle" / "ErrorsOracle.java"


def test_names_codes_and_retriability_are_those_of_kafkas_own_client(kafka_jars: Path) -> None:
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{kafka_jars}/*", str(ORACLE)]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    theirs = [(int(code), name, retriable == "true") for code, name, retriable in map(str.split, output.splitlines())]

    assert len(theirs) > 130
    assert [(member.value, member.name, member.retriable) for member in ErrorCode] == theirs


def test_every_code_is_described_in_one_line_of_its_own() -> None:
    descriptions = [member.description for member in ErrorCode]

    assert all(text and "\n" not in text and text == text.strip() for text in descriptions)
    assert len(set(descriptions)) == len(descriptions)


def test_a_member_equals_its_number_and_carries_its_facts() -> None:
    answered: int = 6
    assert answered == ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert ErrorCode(6) is ErrorCode.NOT_LEADER_OR_FOLLOWER
    assert ErrorCode(6).retriable
    assert not ErrorCode.MESSAGE_TOO_LARGE.retriable


def test_a_known_code_is_named_and_described() -> None:
    assert error_name(-1) == "UNKNOWN_SERVER_ERROR"
    assert is_retriable(5)
    assert describe(6).startswith("NOT_LEADER_OR_FOLLOWER (6): ")
    assert describe(6).endswith(ErrorCode.NOT_LEADER_OR_FOLLOWER.description)


@pytest.mark.parametrize("code", [4711, -2, 32767])
def test_a_code_newer_than_the_table_still_has_an_answer(code: int) -> None:
    assert error_name(code) == f"UNKNOWN_CODE_{code}"
    assert not is_retriable(code)
    assert describe(code).startswith(f"UNKNOWN_CODE_{code} ({code}): ")
