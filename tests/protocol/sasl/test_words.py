"""What is told of a broker's words: one short line, without what the broker was told."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from klife.protocol.sasl.words import names, quoted

SECRET = "".join(f"{number:04x}" for number in range(20_000))  # 80 000 characters, none of its parts like another


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("plain", '"plain"'),
        ("", '""'),
        (" two\r\nlines\t\x1b[1m ", '"two  lines  [1m"'),
        ("x" * 501, f'"{"x" * 500}..."'),
    ],
)
def test_words_are_one_short_line_in_quotes(words: str, shown: str) -> None:
    assert quoted(words) == shown


@settings(deadline=None)  # it is the machine's
@given(start=st.integers(0, 79_000), length=st.integers(12, 3000), before=st.text(max_size=600), after=st.text(max_size=20))
def test_no_part_of_a_secret_is_shown_wherever_it_stands(start: int, length: int, before: str, after: str) -> None:
    part = SECRET[start : start + length]
    shown = quoted(f"{before} {part} {after}", [SECRET])
    assert part[:12] not in shown
    assert part[-12:] not in shown


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (f"token={SECRET[100:130]}", '"token=***"'),
        (f"{SECRET[:20]}...{SECRET[-20:]} is not valid", '"***...*** is not valid"'),
        (f"jwt/{SECRET[:12]}/x", '"jwt/***/x"'),
        (f"of {SECRET[:11]}", f'"of {SECRET[:11]}"'),
    ],
)
def test_a_part_is_hidden_whatever_of_a_token_s_characters_stands_beside_it(words: str, shown: str) -> None:
    assert quoted(words, [SECRET]) == shown


def test_a_short_secret_does_not_tear_words_apart() -> None:
    assert quoted("Invalid username or password", ["password", "user", "a"]) == '"Invalid username or password"'
    assert quoted("Authentication failed, as it is", ["s", "tic", "A"]) == '"Authentication failed, as it is"'


@pytest.mark.parametrize("secret", ["x", "7", "pw", "hunter2", "!", "=,", "s3cret-12345", "it's", "p,a=\N{LATIN SMALL LIGATURE FI}"])
def test_a_short_secret_is_hidden_where_it_stands_alone(secret: str) -> None:
    assert quoted(f"no user klife with '{secret}' here", [secret]) == "\"no user klife with '***' here\""
    assert quoted(f"{secret} is wrong: \0klife\0{secret}", [secret]) == '"*** is wrong:  klife ***"'


def test_a_secret_and_words_that_repeat_themselves_are_not_compared_for_ever() -> None:
    began = time.thread_time()
    assert quoted("ab" * 1000, ["ab" * 100_000]) == '"***"'
    assert time.thread_time() - began < 1.0  # 0.05, or minutes


@pytest.mark.parametrize("words", ["zzzzzzzzzzzz " * 80_000, "0" * 1_000_000, SECRET * 12, "0001 " * 200_000])
def test_the_longest_of_words_take_no_time(words: str) -> None:
    began = time.thread_time()
    assert len(quoted(words, [SECRET, *["another secret"] * 20])) < 600
    assert time.thread_time() - began < 1.0  # 0.01, or minutes


def test_a_broker_s_list_of_mechanisms_is_bounded_and_has_only_names() -> None:
    assert names(["PLAIN", "", "A\nB", "x" * 41, "SCRAM-SHA-256", "AWS_MSK_IAM", "é"]) == ("AWS_MSK_IAM", "PLAIN", "SCRAM-SHA-256")
    assert len(names([f"M{number}" for number in range(100_000)])) == 20
