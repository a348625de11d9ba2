"""The book that tests on real clusters keep of transactions finds what is amiss."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.txn_book import Book


def book(**fates: str) -> Book:
    made = Book(None, ["a", "b", "c"], 1, seed=1)  # type: ignore[arg-type]
    made.fates = {name.replace("_", "-").removeprefix("of-"): fate for name, fate in fates.items()}
    return made


def check(made: Book, *seen: bytes, half: bytes = b"") -> None:
    made.check([[*seen, half] if half else [*seen], [*seen], [*seen]])


def test_all_is_as_its_owners_were_told() -> None:
    check(book(of_0_1="committed", of_0_2="aborted", of_0_3="unknown", of_1_1="unknown, killed"), b"0-1", b"0-3")


@pytest.mark.parametrize(
    ("fates", "seen"),
    [
        ({"of_0_1": "committed"}, []),
        ({"of_0_1": "committed"}, [b"0-1", b"0-1"]),
        ({"of_0_1": "aborted"}, [b"0-1"]),
        ({"of_0_1": "? ValueError()"}, [b"0-1"]),
        ({}, [b"0-1"]),
    ],
)
def test_what_was_told_otherwise_is_found(fates: Any, seen: list[bytes]) -> None:
    with pytest.raises(AssertionError):
        check(book(**fates), *seen)


@pytest.mark.parametrize("fate", ["committed", "aborted", "unknown", "unknown, killed"])
def test_half_a_transaction_is_found(fate: str) -> None:
    with pytest.raises(AssertionError):
        check(book(of_0_1=fate), half=b"0-1")


def test_two_unknown_commits_an_owner_may_be_told_of_and_not_a_third() -> None:
    two_each = {f"of_{owner}_{number}": "unknown" for owner in (0, 1, 10) for number in (1, 2)}
    killed = {f"of_0_{number}": "unknown, killed" for number in range(3, 9)}
    check(book(**two_each, **killed))
    with pytest.raises(AssertionError, match="too many unknown commits"):
        check(book(**two_each, of_1_3="unknown"))
