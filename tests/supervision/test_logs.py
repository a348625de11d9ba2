"""Events are written by a greenlet that nobody waits for, once each, whatever becomes of the process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from time import monotonic
from typing import Any

import gevent
import pytest
import structlog
from gevent.event import Event

from klife_supervision import logs
from tests.support.supervision_fakes import DEADLINE

log = logs.get_logger("tests")
request_id: ContextVar[str] = ContextVar("request_id", default="none")


@pytest.fixture
def written() -> Iterator[Callable[[Callable[[dict[str, Any]], None]], None]]:
    """Has structlog hand each event to a function."""
    gevent.get_hub()  # a thread without one writes for itself
    before = structlog.get_config()

    logs.forget_repeats()

    def write_to(write: Callable[[dict[str, Any]], None]) -> None:
        def process(_logger: Any, _level: str, event: Any) -> Any:
            write(event)
            raise structlog.DropEvent

        structlog.configure(processors=[process], wrapper_class=structlog.BoundLogger)

    yield write_to
    assert logs.flush(DEADLINE)
    structlog.configure(**before)


def test_telling_waits_for_no_handler_and_order_and_context_stay(written: Any) -> None:
    release, seen = Event(), []

    def slow(event: Any) -> None:
        assert release.wait(DEADLINE)
        seen.append((event["event"], request_id.get()))

    written(slow)
    for name in ("first", "second"):
        request_id.set(name)
        log.info(name)
    gevent.sleep(0)
    assert not logs.flush(0.01)
    assert seen == []
    release.set()
    assert logs.flush(DEADLINE)
    assert seen == [("first", "first"), ("second", "second")]


def test_the_hub_runs_while_many_events_are_written(written: Any) -> None:
    turns, loop = [], gevent.get_hub().loop

    def slow(_event: Any) -> None:
        turns.append(loop.iteration)
        until = monotonic() + 0.001
        while monotonic() < until:
            pass

    written(slow)
    for number in range(20):
        logs.get_logger("klife").info("step", number=number)
    assert logs.flush(DEADLINE)
    assert len(turns) == 20
    assert max(Counter(turns).values()) <= 3


def test_what_a_full_queue_drops_is_counted_and_told(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    release, seen = Event(), []

    def slow(event: Any) -> None:
        assert release.wait(DEADLINE)
        seen.append(event)

    written(slow)
    monkeypatch.setattr(logs, "QUEUED_AT_MOST", 3)
    log.info("in hand")
    gevent.sleep(0)
    for number in range(5):
        log.info("more", number=number)
    release.set()
    assert logs.flush(DEADLINE)
    told = [event["event"] for event in seen]
    assert (told.count("in hand"), told.count("more"), told.count("log_events_dropped")) == (1, 3, 1)
    assert next(event["count"] for event in seen if event["event"] == "log_events_dropped") == 2


def test_a_handler_that_tells_something_itself_or_flushes_is_not_entered_again(written: Any) -> None:
    depth, deepest, seen = 0, 0, []

    def chatty(event: Any) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        seen.append(event["event"])
        if event["event"] == "outer":
            log.info("inner")
            assert not logs.flush(DEADLINE)
        gevent.sleep(0)
        depth -= 1

    written(chatty)
    log.info("outer")
    assert logs.flush(DEADLINE)
    assert (seen, deepest) == (["outer", "inner"], 1)


def test_an_event_is_filtered_and_processed_as_structlog_was_configured_when_it_was_told(written: Any) -> None:
    seen: list[str] = []
    written(lambda event: seen.append(event["event"]))
    log.info("told before")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    log.info("told after")
    assert logs.flush(DEADLINE)
    assert seen == ["told before"]


def test_a_killed_writer_and_one_that_raises_lose_at_most_the_event_in_hand(written: Any) -> None:
    seen: list[str] = []

    def fails(event: Any) -> None:
        if event["event"] == "bad":
            raise gevent.Timeout
        if event["event"] == "killed":
            raise gevent.GreenletExit
        seen.append(event["event"])

    written(fails)
    for name in ("bad", "good", "killed", "left"):
        log.info(name)
    logs.flush(DEADLINE)
    log.info("last")
    assert logs.flush(DEADLINE)
    assert seen == ["good", "left", "last"]


def test_a_thread_without_a_hub_writes_for_itself(written: Any) -> None:
    seen: list[int] = []
    written(lambda _event: seen.append(threading.get_ident()))
    thread = threading.Thread(target=lambda: log.info("here"))
    thread.start()
    thread.join(DEADLINE)
    assert seen == [thread.ident]


def test_what_a_handler_makes_told_is_written_and_what_that_makes_told_is_not(written: Any) -> None:
    seen: list[str] = []

    def produces(event: Any) -> None:
        seen.append(event["event"])
        log.info(" ".join(("because of", event["event"])))

    written(produces)
    log.info("one")
    assert logs.flush(DEADLINE)
    assert seen == ["one", "because of one"]
    thread = threading.Thread(target=lambda: log.info("two"))  # it has no hub, and so no queue between them
    thread.start()
    thread.join(DEADLINE)
    assert seen[2:] == ["two", "because of two"]


def test_who_holds_loggings_lock_holds_up_nobody_who_tells_something() -> None:
    done = run(
        "from gevent import monkey; monkey.patch_all()\n"
        "import gevent, logging; from klife_supervision import logs\n"
        "log = logs.get_logger('klife.connection')\n"
        "with logging._lock:\n"  # as dictConfig does while it makes handlers
        "    gevent.spawn(log.warning, 'told').get(timeout=30)\n"
        "assert logs.flush(30)\n"
    )
    assert (done.stderr, done.returncode) == ("told\n", 0)


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)


def test_what_was_told_last_is_written_at_exit() -> None:
    done = run(
        "import gevent; from klife_supervision.logs import get_logger; gevent.get_hub()\n"
        "get_logger('x').warning('almost over', left=1)\n"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "almost over left=1\n", 0)


def test_a_log_that_hangs_at_exit_is_told_and_not_waited_for() -> None:
    done = run(
        "import gevent, structlog; from klife_supervision.logs import get_logger; gevent.get_hub()\n"
        "structlog.configure(processors=[lambda *_: gevent.sleep(3600)])\n"
        "get_logger('x').warning('one'); get_logger('x').warning('two')\n"
    )
    assert "klife: 1 log events were not written" in done.stderr  # and one is in hand for ever
    assert done.returncode == 0


@pytest.mark.parametrize("fork", ["os.fork", "ctypes.PyDLL(None).fork"])
def test_a_forked_child_writes_its_own_events_and_not_its_parents(fork: str) -> None:
    done = run(
        "import ctypes, gevent, os, sys; from klife_supervision.logs import flush, get_logger; gevent.get_hub()\n"
        "log = get_logger('x')\n"
        "log.warning('of the parent')\n"
        f"if {fork}() == 0:\n"
        "    gevent.reinit(); log.warning('of the child'); sys.exit()\n"
        "os.wait()\n"
    )
    assert (done.stderr.count("of the parent"), done.stderr.count("of the child"), done.returncode) == (1, 1, 0)


def test_a_child_of_multiprocessing_writes_what_was_told_last() -> None:
    done = run(
        "import gevent, multiprocessing; from klife_supervision.logs import get_logger; gevent.get_hub()\n"
        "def child():\n"
        "    gevent.reinit(); get_logger('x').warning('of the child')\n"
        "process = multiprocessing.get_context('fork').Process(target=child)\n"
        "process.start(); process.join()\n"
    )
    assert (done.stderr.count("of the child"), done.returncode) == (1, 0), done.stderr


# structlog is the application's to import and to configure


def test_structlog_is_imported_by_nobody_but_the_application() -> None:
    done = run(
        "import gevent, sys; from klife_supervision import logs; gevent.get_hub()\n"
        "logs.get_logger('x').warning('told', left=1)\n"
        "assert logs.flush(30) and not sys.modules.keys() & {'structlog', 'rich', 'asyncio'}\n"
    )
    assert (done.stderr, done.returncode) == ("told left=1\n", 0)


def test_what_is_told_while_structlog_is_half_imported_goes_to_logging() -> None:
    done = run(
        "import sys; from klife_supervision import logs\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'structlog.dev': logs.get_logger('x').warning('in the middle')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "import structlog\n"
    )
    assert (done.stderr, done.returncode) == ("in the middle\n", 0)


def test_what_is_told_before_structlog_is_configured_is_written_as_it_is_configured_by_then() -> None:
    done = run(
        "import gevent; from klife_supervision import logs; gevent.get_hub()\n"
        "logs.get_logger('x').warning('early', left=1)\n"
        "import structlog; structlog.configure(processors=[structlog.processors.JSONRenderer()])\n"
        "assert logs.flush(30)\n"
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)
    written.pop("seconds_late", None)  # importing structlog may take that long on a busy machine
    assert written == {"logger_name": "x", "left": 1, "event": "early"}
