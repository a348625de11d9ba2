"""Where events go while structlog is not configured: to the standard library's logging, as its own records."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import gevent
import pytest
import structlog

from klife_supervision import logs
from klife_supervision.log_output import is_wanted
from tests.support.supervision_fakes import DEADLINE

log = logs.get_logger("klife.producer")


@pytest.fixture(autouse=True)
def events() -> Iterator[None]:
    """In the place of the one that captures by structlog: structlog as nobody has configured it."""
    gevent.get_hub()
    assert logs.flush(DEADLINE)
    logs.forget_repeats()
    before = structlog.get_config()
    structlog.reset_defaults()
    yield
    assert logs.flush(DEADLINE)
    structlog.configure(**before)


def test_an_event_is_a_record_of_its_parts_logger_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="klife")
    before = time.time()
    log.debug("not wanted")
    log.info("no 100% sure thing", broker=1, reason="the broker's word")
    told_by = time.time()
    gevent.sleep(0.05)
    assert logs.flush(DEADLINE)
    [record] = caplog.records
    assert (record.name, record.levelname) == ("klife.producer", "INFO")
    assert record.getMessage() == 'no 100% sure thing broker=1 reason="the broker\'s word"'
    assert (record.event, record.broker, record.reason) == ("no 100% sure thing", 1, "the broker's word")  # type: ignore[attr-defined]
    assert before <= record.created <= told_by
    assert record.msg == "no 100%% sure thing%s"  # the same whatever the fields: what groups by it has one group


def test_fields_read_as_structlog_renders_them(caplog: pytest.LogCaptureFixture) -> None:
    fields: dict[str, Any] = {"text": "it's", "bytes": b"\x00", "number": 1.5, "nothing": None, "list": [1, "two"], "percent": "5%s"}
    log.warning("told", **fields)
    assert logs.flush(DEADLINE)
    assert caplog.messages == [f"told {structlog.processors.KeyValueRenderer()(None, 'warning', fields)}"]


def test_a_traceback_stands_below_the_line(caplog: pytest.LogCaptureFixture) -> None:
    log.error("failed", topic="orders", exception="Traceback: of some length")
    assert logs.flush(DEADLINE)
    assert logging.Formatter("%(levelname)s %(message)s").format(caplog.records[0]) == (
        "ERROR failed topic='orders'\nTraceback: of some length"
    )


def test_fields_of_the_context_are_in_each_event(caplog: pytest.LogCaptureFixture) -> None:
    with logs.telling(client="shop"):
        log.warning("one", broker=1)
    log.warning("two")
    assert logs.flush(DEADLINE)
    assert caplog.messages == ["one client='shop' broker=1", "two"]


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the levels of the root, of two loggers and of all, as an application may."""

    def set_to(root: int, klife: int, producer: int, disabled: int) -> None:
        monkeypatch.setattr(logging.root, "level", root)
        monkeypatch.setattr(logging.getLogger("klife"), "level", klife)
        monkeypatch.setattr(logging.getLogger("klife.producer"), "level", producer)
        monkeypatch.setattr(logging.Logger.manager, "disable", disabled)
        for name in ("", "klife", "klife.producer", "klife.producer.deeper"):
            logging.getLogger(name)._cache.clear()  # type: ignore[attr-defined]

    return set_to


def test_what_is_wanted_is_what_logging_wants_though_it_is_not_asked(levels: Any) -> None:
    numbers = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
    for setting in product((0, 20, 30), (0, 10, 40), (0, 20, 50), (0, 20)):
        levels(*setting)
        for level, number in numbers.items():
            for name in ("klife.producer", "klife", "klife.producer.deeper"):
                assert is_wanted(level, name) is logging.getLogger(name).isEnabledFor(number), (setting, level, name)
    levels(30, 0, 0, 0)
    assert (is_wanted("info", "nobody.made.this"), is_wanted("warning", "nobody.made.this")) == (False, True)
    assert "nobody.made.this" not in logging.Logger.manager.loggerDict
