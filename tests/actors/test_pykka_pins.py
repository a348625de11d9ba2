"""What the runtime relies on in pykka beyond its documentation. When one of these fails, a new pykka wants a
look at `GeventActor`.
"""

from __future__ import annotations

import inspect
from typing import Any

import pykka
import pykka._envelope
import pytest
from pykka import messages

from klife.actors.runtime.actor import GeventActor
from klife.actors.runtime.future import GeventFuture
from klife.actors.runtime.inbox import Inbox


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_the_runtime_hooks_have_the_names_and_signatures_that_are_overridden() -> None:
    assert isinstance(inspect.getattr_static(pykka.Actor, "_create_actor_inbox"), staticmethod)
    assert isinstance(inspect.getattr_static(pykka.Actor, "_create_future"), staticmethod)
    assert parameters(pykka.Actor._create_actor_inbox) == []
    assert parameters(pykka.Actor._create_future) == []
    assert parameters(pykka.Actor._start_actor_loop) == ["self"]
    for name in ("_actor_loop", "_actor_loop_teardown", "_stop"):
        assert parameters(getattr(pykka.Actor, name)) == ["self"]


def test_messages_are_handled_by_handle_receive_and_hooks_take_what_they_took() -> None:
    assert parameters(pykka.Actor._handle_receive) == ["self", "message"]
    assert parameters(pykka.Actor.on_receive) == ["self", "message"]
    assert parameters(pykka.Actor.on_failure) == ["self", "exception_type", "exception_value", "traceback"]


def test_start_registers_and_then_starts_the_loop() -> None:
    source = inspect.getsource(pykka.Actor.start)
    assert source.index("ActorRegistry.register") < source.index("_start_actor_loop()")


def test_an_actor_makes_its_parts_in_its_constructor_and_keeps_its_reference_there() -> None:
    class Bare(GeventActor):
        pass

    actor = Bare()
    assert isinstance(actor.actor_inbox, Inbox)
    assert isinstance(actor._create_future(), GeventFuture)
    assert actor.actor_ref is actor._actor_ref
    assert not actor.actor_stopped.is_set()


def test_a_reference_asks_through_the_actor_s_class_and_holds_it_weakly() -> None:
    class Bare(GeventActor):
        pass

    actor = Bare()
    ref = actor.actor_ref
    assert ref.actor_class is Bare
    assert ref.actor_inbox is actor.actor_inbox
    assert ref._actor_weakref() is actor


def test_an_envelope_is_a_message_and_whom_to_reply_to() -> None:
    assert list(pykka._envelope.Envelope.__slots__) == ["message", "reply_to"]
    assert parameters(pykka._envelope.Envelope) == ["message", "reply_to"]


def test_tell_and_ask_put_one_envelope_each_and_an_ask_s_future_is_made_by_the_actor_s_class() -> None:
    class Bare(GeventActor):
        pass

    actor = Bare()  # not started: what is put stays in the inbox
    ref: Any = pykka.ActorRef(actor)
    ref.tell("told")
    answer = ref.ask("asked", block=False)
    told, asked = actor.actor_inbox.queue
    assert (told.message, told.reply_to) == ("told", None)
    assert (asked.message, asked.reply_to) == ("asked", answer)
    assert isinstance(answer, GeventFuture)


def test_whether_an_actor_lives_is_what_its_stopped_flag_says() -> None:
    class Bare(GeventActor):
        pass

    actor = Bare()
    ref: Any = pykka.ActorRef(actor)
    assert ref.is_alive()
    actor.actor_stopped.set()
    assert not ref.is_alive()
    with pytest.raises(pykka.ActorDeadError):
        ref.tell("told")
    with pytest.raises(pykka.ActorDeadError):
        ref.ask("asked", block=False).get()
    assert actor.actor_inbox.empty()


def test_stop_is_a_message_of_its_own_that_actor_and_reference_send() -> None:
    assert messages._ActorStop() == messages._ActorStop()
    assert "_ActorStop" in inspect.getsource(pykka.ActorRef.stop)
    assert "_ActorStop" in inspect.getsource(pykka.Actor.stop)
    assert "_ActorStop" in inspect.getsource(pykka.Actor._handle_receive)


def test_a_future_is_made_bare_and_computes_by_its_get_hook() -> None:
    assert parameters(pykka.Future.__init__) == ["self"]
    assert parameters(pykka.Future.set_get_hook) == ["self", "func"]
    assert parameters(pykka.Future.set_exception) == ["self", "exc_info"]
    assert pykka.Future()._get_hook is None
    assert "self.__class__()" in inspect.getsource(pykka.Future.map)


def test_the_registry_unregisters_quietly_who_is_not_registered() -> None:
    class Bare(GeventActor):
        pass

    pykka.ActorRegistry.unregister(Bare().actor_ref)
