"""`GeventFuture` keeps pykka's promises; `WaitTimeout` is everybody's timeout."""

from __future__ import annotations

import queue
import sys

import gevent
import pykka
import pytest

from klife import KlifeError, WaitTimeout
from klife.actors.runtime.future import GeventFuture


def done(value: object) -> GeventFuture[object]:
    future: GeventFuture[object] = GeventFuture()
    future.set(value)
    return future


def test_get_returns_what_was_set_as_often_as_asked() -> None:
    future = done(17)
    assert (future.get(), future.get(timeout=0)) == (17, 17)


def test_get_waits_for_the_value() -> None:
    future: GeventFuture[int] = GeventFuture()
    waiting = gevent.spawn(future.get)
    gevent.sleep(0)
    future.set(3)
    assert waiting.get(timeout=10) == 3


def test_get_raises_what_was_set_as_often_as_asked() -> None:
    future: GeventFuture[int] = GeventFuture()
    try:
        raise LookupError("gone")
    except LookupError:
        future.set_exception()
    for _ in range(2):
        with pytest.raises(LookupError, match="gone"):
            future.get()


def test_an_explicit_exception_can_be_set() -> None:
    future: GeventFuture[int] = GeventFuture()
    error = ValueError("x")
    future.set_exception((ValueError, error, None))
    with pytest.raises(ValueError, match="x"):
        future.get()


def test_setting_no_exception_at_all_still_ends_the_wait() -> None:
    future: GeventFuture[int] = GeventFuture()
    assert sys.exc_info() == (None, None, None)
    future.set_exception()
    with pytest.raises(RuntimeError):
        future.get(timeout=1)


@pytest.mark.parametrize("again", ["set", "set_exception"])
def test_a_second_outcome_is_refused_as_by_pykka(again: str) -> None:
    future = done(1)
    with pytest.raises(queue.Full):
        getattr(future, again)()
    with pytest.raises(queue.Full):
        future.set_get_hook(lambda _timeout: None)


def test_a_wait_that_ends_first_is_pykka_s_timeout_python_s_and_ours() -> None:
    with pytest.raises(WaitTimeout, match=r"0\.001 s") as caught:
        GeventFuture().get(timeout=0.001)
    assert isinstance(caught.value, pykka.Timeout)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, KlifeError)
    assert caught.value.retriable


def test_map_filter_reduce_and_join_work() -> None:
    assert done(2).map(lambda value: value * 10).get() == 20  # type: ignore[operator]
    assert done([1, 2, 3]).filter(lambda value: value > 1).get() == [2, 3]
    assert done([1, 2, 3]).reduce(lambda a, b: a + b).get() == 6
    assert done(1).join(done(2), done(3)).get() == [1, 2, 3]


def test_get_all_waits_for_all() -> None:
    assert pykka.get_all([done(1), done(2)]) == [1, 2]


def test_a_get_hook_computes_the_value_once_and_is_given_the_timeout() -> None:
    calls = []
    future: GeventFuture[int] = GeventFuture()
    future.set_get_hook(lambda timeout: calls.append(timeout) or 5)  # type: ignore[func-returns-value]
    assert (future.get(timeout=3), future.get()) == (5, 5)
    assert calls == [3]


def test_a_hook_set_while_somebody_waits_is_what_they_get() -> None:
    future: GeventFuture[int] = GeventFuture()
    waiting = gevent.spawn(future.get, timeout=10)
    gevent.sleep(0)
    future.set_get_hook(lambda _timeout: 8)
    assert waiting.get(timeout=10) == 8


def test_it_is_made_without_arguments_as_pykka_makes_its_own() -> None:
    assert isinstance(done(1).map(lambda value: value), GeventFuture)
