"""The picture of a transactional producer's life is the table that the code goes by."""

from __future__ import annotations

from xml.etree import ElementTree

from docs.draw_transaction_states import PICTURE, PLACES, svg
from klife.actors.transactions.state import Event, State


def test_the_picture_is_the_table() -> None:
    assert svg() == PICTURE.read_text(), "the table has changed: run python -m docs.draw_transaction_states"


def test_the_picture_names_every_state_and_event() -> None:
    assert set(PLACES) == set(State)
    words = " ".join(element.text or "" for element in ElementTree.parse(PICTURE).iter() if element.tag.endswith("text"))
    assert [name.value for name in (*State, *Event) if name.value not in words] == []
