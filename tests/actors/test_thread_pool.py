"""Work in the hub's thread pool: what becomes of its result, and of its errors."""

from __future__ import annotations

import threading

import pytest
from gevent import spawn

from klife.actors.runtime.thread_pool import call_in_thread


def test_other_greenlets_run_while_a_thread_works() -> None:
    let_go = threading.Event()
    other = spawn(let_go.set)
    ran_in = call_in_thread(lambda seconds: let_go.wait(seconds) and threading.get_ident(), 30)
    assert ran_in
    assert ran_in != threading.get_ident()
    other.join()


def test_an_error_is_the_callers_alone(capfd: pytest.CaptureFixture[str]) -> None:
    def fail(what: str) -> None:
        raise LookupError(what)

    with pytest.raises(LookupError, match="no such thing") as caught:
        call_in_thread(fail, "no such thing")
    assert caught.traceback[-1].name == "fail"
    assert capfd.readouterr().err == ""
