"""For all tests: pytest's own test tool, with which the tests of klife's pytest plugin run suites of their
own; and a watch on the actors, so that two that wait for each other fail a test with their names instead of
hanging it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.support.ask_cycle import AskCycle, watching

pytest_plugins = ["pytester"]

# A shell that puts `make test` into the background has it ignore SIGINT, and so would the programs that tests
# start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _asks_are_watched() -> Iterator[list[AskCycle]]:
    with watching() as found:
        yield found


@pytest.fixture(autouse=True)
def ask_cycles(_asks_are_watched: list[AskCycle]) -> Iterator[list[AskCycle]]:
    """The circles of actors that waited for each other in this test. There must be none, unless the test
    takes them out.
    """
    yield _asks_are_watched
    found = list(_asks_are_watched)
    _asks_are_watched.clear()
    assert found == []
