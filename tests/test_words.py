"""Articles and plurals."""

from __future__ import annotations

import pytest

from klife.words import counted, kind_of, were, with_article


@pytest.mark.parametrize(
    ("value", "kind"), [(5, "an int"), ("", "a str"), (None, "a NoneType"), (OSError(), "an OSError"), (KeyError(), "a KeyError")]
)
def test_a_kind_has_its_article(value: object, kind: str) -> None:
    assert kind_of(value) == kind


def test_so_have_names() -> None:
    assert [with_article(name) for name in ("Produce", "EndTxn", "AddPartitionsToTxn", "")] == [
        "a Produce",
        "an EndTxn",
        "an AddPartitionsToTxn",
        "a ",
    ]


@pytest.mark.parametrize(("number", "said"), [(0, "0 records were"), (1, "1 record was"), (2, "2 records were")])
def test_one_is_not_many(number: int, said: str) -> None:
    assert f"{counted(number, 'record')} {were(number)}" == said
