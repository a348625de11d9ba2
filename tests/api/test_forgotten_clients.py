"""A client that its program let go of without stopping it."""

from __future__ import annotations

import gc
import warnings

import pytest

from klife import Client
from klife.actors import engines

NOWHERE = "127.0.0.1:1"


def warnings_of_letting_go(client: list[Client]) -> list[str]:
    """What Python warns of when the last reference, in the list, goes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client.clear()
        gc.collect()
    return [str(each.message) for each in caught if each.category is ResourceWarning]


def end(name: str) -> None:
    engine = engines.find(name)
    assert engine is not None
    engine.stop(0)


def test_a_client_that_is_forgotten_without_stop_is_warned_of() -> None:
    client = [Client.start(NOWHERE)]
    name = client[0].name
    try:
        [told] = warnings_of_letting_go(client)
        assert told.startswith(f"client '{name}' was forgotten without stop()")
        assert "with Client.start(...)" in told
    finally:
        end(name)


def test_one_of_which_another_facade_is_held_is_not_forgotten() -> None:
    client = [Client.start(NOWHERE)]
    other = Client.get(client[0].name)
    try:
        assert warnings_of_letting_go(client) == []
        assert len(warnings_of_letting_go([other])) == 0, "this test holds it"
    finally:
        other.stop(0)


@pytest.mark.parametrize("stopped", [True, False])
def test_one_that_was_stopped_or_can_be_found_by_the_name_it_was_given_is_not_forgotten(stopped: bool) -> None:
    client = [Client.start(NOWHERE, **({} if stopped else {"name": "found again"}))]
    if stopped:
        client[0].stop(0)
    assert warnings_of_letting_go(client) == []
    if not stopped:
        Client.get("found again").stop(0)
