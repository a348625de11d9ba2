"""`Ahead`: who makes the call, who waits for it, and when the thread begins and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from threading import get_ident
from weakref import ref

import gevent
import pytest
from gevent.monkey import get_original

from klife.actors.runtime import ahead
from klife.actors.runtime.ahead import Ahead, make_ahead
from tests.support.scripted_broker import PATIENCE
from tests.support.waiting import wait_until

_new_lock = get_original("_thread", "allocate_lock")


class Held:
    """A call that the thread is in the middle of, until it is let go."""

    def __init__(self) -> None:
        self._begun, self._goes_on = _new_lock(), _new_lock()
        self._begun.acquire()
        self._goes_on.acquire()
        self.made: Ahead[int] = make_ahead(self._call)
        assert self._begun.acquire(timeout=PATIENCE)

    def _call(self) -> int:
        self._begun.release()
        assert self._goes_on.acquire(timeout=PATIENCE)
        return get_ident()

    def let_go(self) -> None:
        self._goes_on.release()


@pytest.fixture
def held() -> Iterator[Held]:
    found = Held()
    yield found
    if found._goes_on.locked():
        found.let_go()
    assert not found.made.left_to_caller(PATIENCE)


def test_what_the_thread_has_made_is_there_without_a_wait() -> None:
    made = make_ahead(get_ident)
    wait_until(lambda: made._outcome)
    assert not made.left_to_caller(0)
    assert made.result() != get_ident()
    assert made.seconds >= 0


def test_a_call_that_is_being_made_is_waited_for_while_other_greenlets_run(held: Held) -> None:
    other = gevent.spawn(held.let_go)
    assert not held.made.left_to_caller(PATIENCE)
    assert held.made.result() != get_ident()
    other.join()


def test_a_call_that_was_not_begun_is_the_callers_for_good(held: Held) -> None:
    made: list[int] = []
    second = make_ahead(made.append, 2)
    third = make_ahead(made.append, 3)
    assert second.left_to_caller(PATIENCE)
    held.let_go()
    wait_until(lambda: third._outcome)
    assert not third.left_to_caller(0)
    assert second.left_to_caller(PATIENCE)
    assert made == [3]


def test_who_makes_the_call_himself_leaves_nothing_large_in_line(held: Held) -> None:
    class Large:
        pass

    large = Large()
    gone = ref(large)
    second = make_ahead(repr, large)
    del large
    assert second.left_to_caller(PATIENCE)
    assert gone() is None
    assert second in ahead._line._waiting


def test_a_call_that_takes_too_long_is_the_callers_too(held: Held) -> None:
    assert held.made.left_to_caller(0.001)
    held.let_go()
    assert not held.made.left_to_caller(PATIENCE)


def test_who_is_killed_while_it_waits_leaves_the_result_to_the_next(held: Held) -> None:
    waits = gevent.spawn(held.made.left_to_caller, PATIENCE)
    wait_until(lambda: held.made._woken)
    waits.kill()
    held.let_go()
    assert not held.made.left_to_caller(PATIENCE)
    assert held.made.result() != get_ident()


def test_what_is_raised_is_raised_to_who_asks_for_the_result(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(what: str) -> None:
        raise LookupError(what)

    made = make_ahead(fail, "no such thing")
    wait_until(lambda: made._outcome)
    assert not made.left_to_caller(0)
    with pytest.raises(LookupError, match="no such thing") as caught:
        made.result()
    assert caught.traceback[-1].name == "fail"
    assert capfd.readouterr().err == ""
    after = make_ahead(get_ident)
    wait_until(lambda: after._outcome)


def test_the_thread_ends_when_there_is_nothing_to_do_and_the_next_call_starts_another() -> None:
    for _ in range(2):
        made = make_ahead(get_ident)
        wait_until(lambda made=made: made._outcome)
        assert ahead._line._has_thread
        wait_until(lambda: not ahead._line._has_thread)


def test_without_a_thread_all_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    wait_until(lambda: not ahead._line._has_thread)
    monkeypatch.setattr(ahead, "_start_thread", refuse)
    assert make_ahead(get_ident).left_to_caller(PATIENCE)
    assert not ahead._line._waiting


def test_a_forked_child_has_a_thread_of_its_own_and_none_of_its_parents_calls(held: Held) -> None:
    make_ahead(os._exit, 1)
    pid = os.fork()
    if pid == 0:
        from klife.actors.runtime.forked import take_note

        take_note()
        made = make_ahead(get_ident)
        wait_until(lambda: made._outcome)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    second = ahead._line._waiting.popleft()
    assert second.left_to_caller(PATIENCE)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_forked_child_that_exits_does_not_wait_for_its_parents_call(held: Held) -> None:
    line = ahead._line
    pid = os.fork()
    if pid == 0:
        ahead._stop()
        os._exit(ahead._line is line)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


_EXITS = """
import sys
if sys.argv[1] == "patched":
    from gevent import monkey
    monkey.patch_all()
from klife.actors.runtime.ahead import make_ahead
from klife.protocol.codecs import CODECS, compress

data = bytes(i % 251 for i in range(1 << 20))
compress(CODECS["snappy"], data)
for _ in range(200):
    make_ahead(compress, CODECS["snappy"], data)
"""


@pytest.mark.parametrize("how", ["patched", "as it is"])
def test_an_interpreter_that_exits_meanwhile_ends_in_peace(how: str) -> None:
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", _EXITS, how], capture_output=True, text=True, timeout=120, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")
