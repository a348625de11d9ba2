"""A call is told of once, whoever ends it, and leaves no garbage."""

from __future__ import annotations

import gc
import weakref

from klife.actors.network.call import Call, CallFailed


def test_a_call_is_finished_once_and_the_first_outcome_stays() -> None:
    told: list[Call] = []
    call = Call("request", told.append)
    call.response = "response"
    call.finish()
    call.finish(CallFailed("its connection was closed", sent=True))
    assert told == [call]
    assert (call.is_done, call.response, call.error) == (True, "response", None)


def test_a_call_that_failed_has_no_response() -> None:
    call = Call("request")
    call.response = "read, and not told of before the connection broke"
    error = CallFailed("its connection was closed", sent=True)
    call.finish(error)
    call.finish()
    assert (call.is_done, call.response, call.error) == (True, None, error)


def test_a_call_known_to_those_it_tells_is_no_garbage_in_a_circle() -> None:
    class Asker:
        def done(self, call: Call) -> None:
            self.call = call

    asker = Asker()
    asker.call = Call("request", asker.done)
    gone = weakref.ref(asker)
    gc.disable()
    try:
        asker.call.finish()
        del asker
        assert gone() is None
    finally:
        gc.enable()
