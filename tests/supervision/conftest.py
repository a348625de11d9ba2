"""Each test begins and ends with no supervisor, no name and no log on the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from klife_supervision import DynamicSupervisor, Supervisor, registered
from tests.support.supervision_fakes import DEADLINE, Family
from tests.support.told_logs import told_logs
from tests.support.told_secrets import ToldSecrets


@pytest.fixture(autouse=True)
def events() -> Iterator[list[Any]]:
    """All log events of the test."""
    with told_logs() as captured:
        yield captured


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    assert registered() == ()


@pytest.fixture
def family() -> Family:
    return Family()


@pytest.fixture
def supervise(_nothing_left: None) -> Iterator[Callable[..., Supervisor]]:
    """`Supervisor.start`, and its end after the test."""
    started: list[Supervisor] = []

    def start(*args: Any, **options: Any) -> Supervisor:
        with gevent.Timeout(DEADLINE):
            supervisor = Supervisor.start(*args, **options)
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop(timeout=DEADLINE)


@pytest.fixture
def supervise_dynamic(_nothing_left: None) -> Iterator[Callable[..., DynamicSupervisor]]:
    """`DynamicSupervisor.start`, and its end after the test."""
    started: list[DynamicSupervisor] = []

    def start(**options: Any) -> DynamicSupervisor:
        supervisor = DynamicSupervisor.start(**options)
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop(timeout=DEADLINE)


@pytest.fixture(autouse=True)
def log_without_secrets(_log_is_watched: ToldSecrets) -> Iterator[None]:
    """There are no secrets here; and events that are kept would look like a leak."""
    _log_is_watched.keeps = False
    yield
    _log_is_watched.keeps = True
