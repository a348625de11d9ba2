"""`GeventActor`: what an actor promises from its start to its end."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from time import monotonic
from typing import Any

import gevent
import pykka
import pytest
from gevent import get_hub
from gevent.event import Event
from pykka import ActorDeadError, ActorRegistry
from pykka._envelope import Envelope

from klife.actors.runtime.actor import GeventActor
from klife.actors.runtime.future import GeventFuture, WaitTimeout
from klife.actors.runtime.inbox import Inbox
from klife.actors.runtime.latch import Latch
from klife_supervision import ChildSpec, ExitReason, StartFailed, Supervisor, whereis
from tests.support.told_logs import told_logs


class Recorder(GeventActor):
    """Notes what happens to it."""

    def __init__(self, events: list[Any] | None = None) -> None:
        super().__init__()
        self.events = [] if events is None else events
        self.hold: Any = None

    def on_start(self) -> None:
        self.events.append("start")

    def on_wake(self) -> None:
        self.events.append("wake")

    def on_stop(self) -> None:
        self.events.append("stop")

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self.events.append(("failure", exception_type))

    def on_exit(self, reason: ExitReason) -> None:
        self.events.append(("exit", reason.kind))

    def on_receive(self, message: Any) -> Any:
        self.events.append(message)
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, Event):
            message.wait()
        if message == "stop yourself":
            self.stop()
        return message


@pytest.fixture
def events() -> list[Any]:
    return []


@pytest.fixture
def ref(events: list[Any]) -> Iterator[Any]:
    ref = Recorder.start(events)
    yield ref
    ref.kill()
    assert ref.wait(5)


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    before = {ref.actor_urn for ref in ActorRegistry.get_all()}
    yield
    assert {ref.actor_urn for ref in ActorRegistry.get_all()} == before


def ended(ref: Any) -> ExitReason:
    assert ref.wait(5)
    assert not ref.is_alive()
    assert ref.exit_reason is not None
    reason: ExitReason = ref.exit_reason
    return reason


# starting


def test_start_returns_when_on_start_is_through(ref: Any, events: list[Any]) -> None:
    assert events == ["start"]
    assert ref.exit_reason is None


def test_start_waits_for_an_on_start_that_waits() -> None:
    class Slow(Recorder):
        def on_start(self) -> None:
            gevent.sleep(0.001)
            super().on_start()

    ref = Slow.start()
    assert ref.proxy().events.get() == ["start"]
    ref.stop()


def test_start_raises_what_on_start_raises_and_leaves_nothing_behind() -> None:
    events: list[Any] = []

    class Broken(Recorder):
        def on_start(self) -> None:
            raise LookupError("no table")

    with pytest.raises(LookupError, match="no table"):
        Broken.start(events)
    assert events == [("failure", LookupError), ("exit", "crashed")]
    assert ActorRegistry.get_by_class(Broken) == []


def test_start_raises_when_the_actor_is_killed_before_its_first_turn(events: list[Any]) -> None:
    class Stillborn(Recorder):
        def __init__(self, events: list[Any]) -> None:
            super().__init__(events)
            get_hub().loop.run_callback(lambda: self.actor_ref.kill())

        def on_start(self) -> None:
            gevent.sleep(1)

    with pytest.raises(RuntimeError, match="killed"):
        Stillborn.start(events)
    assert events[-1] == ("exit", "killed")


def test_one_whose_starter_is_killed_meanwhile_does_not_live_on(events: list[Any]) -> None:
    reached = Event()

    class SlowToStart(Recorder):
        def on_start(self) -> None:
            super().on_start()
            reached.set()
            Event().wait()

    starter = gevent.spawn(SlowToStart.start, events)
    assert reached.wait(5)
    starter.kill()
    gevent.sleep(0)
    assert ActorRegistry.get_by_class(SlowToStart) == []
    assert events[-1] == ("exit", "killed")


def test_one_whose_start_hangs_is_given_up_by_its_supervisor_and_leaves_nothing_half_started(events: list[Any]) -> None:
    class SlowToStart(Recorder):
        def on_start(self) -> None:
            super().on_start()
            Event().wait()

    with pytest.raises(StartFailed, match=r"child 'slow'.*start_timeout, 0.01 s"):
        Supervisor.start(
            [
                ChildSpec(id="before", start=lambda: Recorder.start(events), name="till"),
                ChildSpec(id="slow", start=lambda: SlowToStart.start(events), start_timeout=0.01, name="slow"),
            ],
            name="shop",
        )
    gevent.sleep(0)
    assert ActorRegistry.get_by_class(Recorder) == ActorRegistry.get_by_class(SlowToStart) == []
    assert [whereis(name) for name in ("till", "slow", "shop")] == [None] * 3
    assert ("exit", "shutdown") in events
    assert ("exit", "killed") in events


def test_one_killed_before_it_ever_ran_ends_all_the_same(events: list[Any]) -> None:
    class Unborn(Recorder):
        def _start_actor_loop(self) -> None:
            get_hub().loop.run_callback(self.kill_first)
            super()._start_actor_loop()

        def kill_first(self) -> None:
            self._life.greenlet.kill(block=False)

    with pytest.raises(RuntimeError):
        Unborn.start(events)
    assert events[-1] == ("exit", "killed")


# ends


def test_one_that_stops_itself_ended_normally(ref: Any, events: list[Any]) -> None:
    ref.tell("stop yourself")
    assert ended(ref) == ExitReason.normal()
    assert events == ["start", "stop yourself", "stop", ("exit", "normal")]


def test_one_that_is_stopped_ended_normally_and_stop_returns_when_it_has(ref: Any) -> None:
    assert ref.stop(timeout=5) is True
    assert ref.exit_reason == ExitReason.normal()
    assert ref.stop() is False


def test_one_that_is_shut_down_ended_with_the_reason_it_was_given(ref: Any, events: list[Any]) -> None:
    ref.tell("before")
    ref.shutdown(ExitReason.shutdown("deploy"))
    ref.shutdown(ExitReason.shutdown("too late to say so"))
    assert ended(ref) == ExitReason.shutdown("deploy")
    assert events == ["start", "before", "stop", ("exit", "shutdown")]
    ref.shutdown()


def test_one_that_is_killed_ends_where_it_stands(ref: Any, events: list[Any]) -> None:
    ref.tell(Event())
    gevent.sleep(0)
    ref.kill()
    assert ended(ref) == ExitReason.killed()
    assert events[-2:] == [("failure", None), ("exit", "killed")]


def test_one_killed_while_it_stops_was_killed_and_still_exits() -> None:
    events: list[Any] = []

    class Reluctant(Recorder):
        def on_stop(self) -> None:
            Event().wait()

    ref = Reluctant.start(events)
    ref.shutdown()
    gevent.sleep(0)
    gevent.sleep(0)
    ref.kill()
    assert ended(ref) == ExitReason.killed()
    assert events[-1] == ("exit", "killed")


def test_one_whose_message_raises_crashed_with_that_and_it_is_logged(ref: Any, events: list[Any]) -> None:
    error = LookupError("x")
    with told_logs() as logs:
        ref.tell(error)
        assert ended(ref) == ExitReason.crashed(error)
    assert events[-2:] == [("failure", LookupError), ("exit", "crashed")]
    assert [entry["event"] for entry in logs] == ["actor_crashed"]


def test_the_crash_of_one_under_a_supervisor_is_logged_once_with_its_traceback() -> None:
    with told_logs() as logs, Supervisor.start([ChildSpec(id="recorder", start=Recorder.start, restart="temporary")]) as supervisor:
        recorder = supervisor.child("recorder")
        recorder.tell(LookupError("x"))
        ended(recorder)
    told = [entry for entry in logs if "LookupError: x" in entry.get("exception", "")]
    assert [(entry["event"], entry["child"]) for entry in told] == [("child exited", "recorder")]


def test_one_whose_wake_up_raises_crashed() -> None:
    class Sleepy(Recorder):
        def on_wake(self) -> None:
            raise LookupError

    ref = Sleepy.start()
    woken(ref).actor_inbox.wake()
    assert ended(ref).kind == "crashed"


def test_an_on_stop_that_raises_makes_it_a_crash_and_on_exit_runs_all_the_same(events: list[Any]) -> None:
    class Clumsy(Recorder):
        def on_stop(self) -> None:
            raise LookupError

    ref = Clumsy.start(events)
    ref.stop()
    assert ended(ref).kind == "crashed"
    assert events[-1] == ("exit", "crashed")


def test_hooks_that_raise_on_the_way_out_keep_nobody_waiting() -> None:
    class Hopeless(Recorder):
        def on_failure(self, *_: Any) -> None:
            raise LookupError

        def on_exit(self, reason: ExitReason) -> None:
            raise LookupError

    ref = Hopeless.start()
    ref.tell(ValueError("first"))
    answer = ref.ask("left behind", block=False)
    assert isinstance(ended(ref).exception, ValueError)
    with pytest.raises(ActorDeadError):
        answer.get(timeout=1)


@pytest.mark.parametrize("error", [gevent.GreenletExit(), gevent.Timeout(1), BaseException("odd")], ids=repr)
def test_a_base_exception_ends_its_actor_and_no_other(ref: Any, error: BaseException) -> None:
    other = Recorder.start()
    ref.tell(error)
    assert ended(ref).is_abnormal
    assert other.ask("still there", timeout=10) == "still there"
    other.stop()


@pytest.mark.parametrize("error", [gevent.GreenletExit(), gevent.Timeout(1)], ids=repr)
def test_an_ask_that_meets_a_base_exception_is_answered_and_ends_the_actor(ref: Any, error: BaseException) -> None:
    with pytest.raises((ActorDeadError, gevent.Timeout)):
        ref.ask(error, timeout=5)
    assert ended(ref).is_abnormal


# messages


def test_an_ask_s_exception_is_the_asker_s_and_the_actor_lives_on(ref: Any) -> None:
    with pytest.raises(LookupError):
        ref.ask(LookupError(), timeout=5)
    assert ref.ask("alive", timeout=5) == "alive"


def test_an_ask_has_a_deadline_and_its_late_answer_hurts_nobody(ref: Any, events: list[Any]) -> None:
    held = Event()
    with pytest.raises(WaitTimeout, match=r"no reply within 0\.01 s"):
        ref.ask(held, timeout=0.01)
    held.set()
    assert ref.ask("still there", timeout=5) == "still there"
    assert events == ["start", held, "still there"]


def test_messages_come_in_order(ref: Any, events: list[Any]) -> None:
    for number in range(5):
        ref.tell(number)
    assert ref.ask("last", timeout=5) == "last"
    assert events == ["start", 0, 1, 2, 3, 4, "last"]


def test_messages_left_in_the_inbox_are_answered_that_the_actor_is_dead(ref: Any) -> None:
    held = Event()
    ref.tell(held)
    gevent.sleep(0)
    left = ref.ask("never handled", block=False)
    stop = ref.stop(block=False)
    ref.kill()
    with pytest.raises(ActorDeadError, match="stopped before handling the message"):
        left.get(timeout=5)
    assert stop.get(timeout=5)


def test_a_message_that_another_thread_puts_just_after_the_end_is_answered_too(ref: Any) -> None:
    # That thread saw the actor alive, and was held up before it put its message.
    ref.stop()
    late = GeventFuture[Any]()
    get_hub().threadpool.apply(ref.actor_inbox.put, (Envelope("anyone?", reply_to=late),))
    with pytest.raises(ActorDeadError, match="stopped before handling the message"):
        late.get(timeout=5)


def test_a_message_to_a_dead_actor_is_refused(ref: Any) -> None:
    ref.stop()
    with pytest.raises(ActorDeadError):
        ref.tell("anyone?")
    with pytest.raises(ActorDeadError):
        ref.ask("anyone?", timeout=1)


def test_proxies_work(ref: Any) -> None:
    proxy = ref.proxy()
    proxy.hold = 3
    assert proxy.hold.get(timeout=5) == 3
    assert proxy.on_receive("by proxy").get(timeout=5) == "by proxy"


def test_another_thread_can_ask(ref: Any) -> None:
    assert gevent.spawn(get_hub().threadpool.apply, lambda: ref.ask("hello", timeout=5)).get(timeout=5) == "hello"


# monitors


def test_monitors_hear_of_the_end_once_each(ref: Any) -> None:
    heard: list[Any] = []
    ref.monitor(lambda reason: heard.append(("a", reason.kind)))
    ref.monitor(lambda reason: heard.append(("b", reason.kind)))
    cancel = ref.monitor(lambda reason: heard.append(("c", reason.kind)))
    cancel()
    cancel()
    ref.kill()
    ended(ref)
    gevent.sleep(0)
    ref.kill()
    gevent.sleep(0)
    assert heard == [("a", "killed"), ("b", "killed")]


def test_a_monitor_of_a_dead_actor_hears_at_once(ref: Any) -> None:
    ref.stop()
    ended(ref)
    heard: list[Any] = []
    ref.monitor(heard.append)
    assert heard == []
    gevent.sleep(0)
    assert heard == [ExitReason.normal()]


# waking


def woken(actor: Any) -> Any:
    return actor._actor_weakref()


def test_any_number_of_wake_ups_are_one_and_come_after_the_greenlets_that_are_ready(ref: Any, events: list[Any]) -> None:
    gevent.sleep(0)
    inbox = woken(ref).actor_inbox
    gevent.spawn(events.append, "ready greenlet")
    for _ in range(10):
        inbox.wake()
    gevent.sleep(0)
    gevent.sleep(0)
    assert events == ["start", "ready greenlet", "wake"]


def test_another_thread_can_wake(ref: Any, events: list[Any]) -> None:
    gevent.sleep(0)
    done = Latch()
    woken(ref).on_wake = done.set
    gevent.spawn(get_hub().threadpool.apply, woken(ref).actor_inbox.wake)
    assert done.wait(5)


def test_a_wake_up_while_it_is_busy_is_not_lost(ref: Any, events: list[Any]) -> None:
    held = Event()
    ref.tell(held)
    gevent.sleep(0)
    woken(ref).actor_inbox.wake()
    held.set()
    assert ref.ask("after", timeout=5) == "after"
    gevent.sleep(0)
    assert "wake" in events


@pytest.mark.parametrize("in_hub", [False, True])
def test_one_that_wakes_itself_each_time_holds_nobody_up(in_hub: bool) -> None:
    class Restless(GeventActor):
        looks_in_hub = in_hub

        def on_wake(self) -> None:
            self.actor_inbox.wake()

    ref = Restless.start()
    ref.actor_inbox.wake()
    with gevent.Timeout(10):
        for _ in range(3):
            gevent.sleep(0.001)
        ref.kill()
        while ref.is_alive():
            gevent.sleep(0.001)


def test_wake_after_wakes_once_and_not_before(ref: Any) -> None:
    done = Latch()
    times: list[float] = []
    woken(ref).on_wake = lambda: (times.append(monotonic()), done.set())
    began = monotonic()
    woken(ref).wake_after(0.005)
    assert done.wait(5)
    gevent.sleep(0.01)
    assert len(times) == 1
    assert times[0] - began >= 0.005


def test_a_timer_that_fires_early_is_set_again(ref: Any, events: list[Any]) -> None:
    actor = woken(ref)
    actor.wake_after(60)
    actor._time_is_up()
    gevent.sleep(0)
    assert events == ["start"]
    assert actor._timer.active


def test_a_later_wake_after_replaces_an_earlier_one(ref: Any) -> None:
    done = Latch()
    woken(ref).on_wake = done.set
    woken(ref).wake_after(60)
    woken(ref).wake_after(0.001)
    assert done.wait(5)


def test_a_dead_actor_s_timer_is_gone(ref: Any, events: list[Any]) -> None:
    actor = woken(ref)
    actor.wake_after(0.001)
    ref.stop()
    ended(ref)
    assert actor._timer is None
    gevent.sleep(0.003)
    assert "wake" not in events


def test_get_waits_for_an_envelope_whatever_wakes_it() -> None:
    inbox = Inbox()
    getting = gevent.spawn(inbox.get)
    gevent.sleep(0)
    inbox.wake()
    gevent.sleep(0)
    assert not getting.dead
    assert inbox.empty()
    inbox.put("letter")
    assert getting.get(timeout=5) == "letter"


# the house


def test_it_works_under_monkey_patching() -> None:
    program = """
        from gevent import monkey; monkey.patch_all()
        import threading, time
        from klife.actors.runtime.actor import GeventActor

        class Adder(GeventActor):
            def add(self, a, b):
                time.sleep(0.001)
                return a + b

        ref = Adder.start()
        proxy = ref.proxy()
        results = []
        threads = [threading.Thread(target=lambda n=n: results.append(proxy.add(n, 1).get(timeout=5))) for n in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert sorted(results) == [1, 2, 3, 4], results
        assert ref.stop(timeout=5)
        print("fine", ref.exit_reason)
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "fine normal\n", result.stderr


def test_pykka_s_own_actors_are_left_alone() -> None:
    class Plain(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            return message

    plain = Plain.start()
    ref = Recorder.start()
    ref.tell(BaseException("ends one"))
    ended(ref)
    assert plain.is_alive()
    assert gevent.spawn(get_hub().threadpool.apply, lambda: plain.stop(timeout=5)).get(timeout=5)
