"""For all tests: pytest's own test tool, with which the tests of klife's pytest plugin run suites of their
own; a watch on the actors, so that two that wait for each other fail a test with their names instead of
hanging it; and one on the log, debug events included, so that a secret in it fails the test that told it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

from klife.actors.producer import hub_watch
from klife.actors.runtime import inbox, latch, loop_budget
from klife_supervision import let_hub_run
from tests.support import told_secrets
from tests.support.ask_cycle import AskCycle, watching
from tests.support.told_secrets import ToldSecrets

pytest_plugins = ["pytester"]

# A machine that is busy is no mistake of a test.
hypothesis.settings.register_profile("klife", deadline=None)
hypothesis.settings.load_profile("klife")

# Python 3.12 and newer warns of each fork in a process of several threads (docs/support.md), on the stderr of the
# programs that tests start.
os.environ.setdefault("PYTHONWARNINGS", "ignore:This process:DeprecationWarning")

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


@pytest.fixture(scope="session", autouse=True)
def _log_is_watched() -> Iterator[ToldSecrets]:
    with told_secrets.watching() as watch:
        yield watch


@pytest.fixture(autouse=True)
def log_without_secrets(_log_is_watched: ToldSecrets) -> Iterator[ToldSecrets]:
    """What this test told the log; there must be no secret in it, unless the test makes it forget."""
    _log_is_watched.forget()
    yield _log_is_watched
    found = _log_is_watched.found()
    _log_is_watched.forget()
    assert found == []


@pytest.fixture
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no turn of the loop ever took too long: for tests that count requests, looks or turns. On a busy
    machine one may, in the middle of records that are produced together; then the hub runs there, and the first
    of them leave in a request of their own.
    """
    for module in (let_hub_run, loop_budget, latch):
        monkeypatch.setattr(module, "TURN_SECONDS", 60.0)
    monkeypatch.setattr(inbox, "_LATEST", 60.0)
    monkeypatch.setattr(hub_watch, "_EVERY", 60.0)
