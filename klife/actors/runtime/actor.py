"""`GeventActor`: pykka's actor on a greenlet, with exit reasons.

What stock pykka does, and why the loop here is our own:

- a `BaseException` in one actor (`GreenletExit`, `gevent.Timeout`) stops *every* actor of the process. Here
  it ends that actor.
- `start()` returns before `on_start` has run, and a failure there leaves a reference to something dead. Here
  `start()` returns when `on_start` is through, and raises what it raised.
- starting and ending are logged, by whatever handlers the user has, in the middle of it. Here they are not.
- nobody learns why an actor ended. Here each leaves an `ExitReason`, and others may `monitor` it; that is
  also what makes an actor a child that `klife_supervision` can look after.

The order of an actor's life: `__init__` in the starter's greenlet; `on_start`; then messages and wake-ups,
each batch of waiting messages handled in one go, and those that were postponed once more after each wake-up;
`on_stop` after an orderly end or `on_failure` after any other; `on_exit` always; envelopes left in the inbox
are answered; monitors are told. pykka's public verbs (`tell`, `ask`, `proxy`, `stop`) are untouched.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import Any, ClassVar, Final, Self

import gevent
import pykka
from gevent import GreenletExit, get_hub
from pykka import ActorDeadError, ActorRegistry
from pykka.messages import _ActorStop

from klife.actors.runtime.future import GeventFuture
from klife.actors.runtime.inbox import Inbox
from klife.actors.runtime.latch import never_waits
from klife.actors.runtime.life import Life
from klife.actors.runtime.loop_budget import LoopBudget
from klife.actors.runtime.ref import GeventActorRef
from klife_supervision import ExitReason
from klife_supervision.let_hub_run import let_hub_run
from klife_supervision.logs import Logger, fields_here, get_logger, traceback_of

log: Logger = get_logger("klife.actors")

POSTPONED: Final = object()
"""What `on_receive` returns where it has no answer yet: it gets the message again after each `on_wake`."""


class GeventActor(pykka.Actor):
    """Base of klife's actors. Subclasses implement pykka's hooks and, for wake-ups without messages,
    `on_wake`.
    """

    actor_inbox: Inbox
    _actor_ref: GeventActorRef[Any]
    may_wait_for_klife: ClassVar[bool] = True
    """False for those that deliveries, or others who wait, depend on; what Python runs in their greenlets (a
    destructor, a signal handler) may be the user's, and is refused every wait for klife.
    """
    _ref_type: ClassVar[type[GeventActorRef[Any]]] = GeventActorRef

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._life = Life()
        self._actor_ref = self._ref_type(self, self._life)
        self._timer: Any = None
        self._wake_at = 0.0
        self._postponed: deque[Any] = deque()  # envelopes
        self._log_fields = fields_here.get()

    # pykka's three runtime hooks

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        return Inbox()

    @staticmethod
    def _create_future() -> GeventFuture[Any]:
        return GeventFuture()

    def _start_actor_loop(self) -> None:
        greenlet = gevent.Greenlet(self._actor_loop)
        greenlet.name = type(self).__name__
        if not self.may_wait_for_klife:
            never_waits(greenlet)
        self._life.greenlet = greenlet
        greenlet.link(self._never_ran)
        greenlet.start()
        try:
            self._actor_ref.wait_started()
        except BaseException:  # the starter was killed, or ran out of time: an actor that nobody knows of must not live on
            greenlet.kill(block=False)
            raise
        if self._life.start_error is not None:
            raise self._life.start_error

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> GeventActorRef[Self]:
        """Start the actor and wait until its `on_start` is through.

        Raises:
            whatever `on_start` raised; the actor is then gone, and nothing of it is left registered.
        """
        actor = cls(*args, **kwargs)
        _register(actor._actor_ref)
        actor._start_actor_loop()
        return actor._actor_ref

    # hooks for subclasses beyond pykka's

    def on_wake(self) -> None:
        """Called once after any number of `actor_inbox.wake()`. An exception here crashes the actor."""

    def look_again(self) -> None:
        """Called in the hub every few seconds, before a wake-up: to make up for watchers of this actor whose
        callback was ended by what a signal handler raised. Must not wait.
        """

    def on_exit(self, reason: ExitReason) -> None:
        """Called last on every way out, a kill included: release what the actor holds. Must not wait."""

    @property
    def looks_in_hub(self) -> bool:
        """Whether `on_wake` waits for nothing, and calls nothing of the user's: then it may be called in the hub,
        without a switch to the actor's greenlet. Asked once.
        """
        return False

    def look_in_hub(self) -> bool:
        """Call `on_wake`, in the hub, for the greenlet, which is parked. One that may have to wait this time does
        nothing, and returns true: then its greenlet calls it.
        """
        if self._postponed:
            return True
        self.on_wake()
        return False

    def wake_after(self, seconds: float) -> None:
        """Wake the actor once after `seconds`, never earlier. One timer an actor: a later call replaces an
        earlier one.
        """
        self._wake_at = monotonic() + seconds
        self._set_timer(seconds)

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        self._timer = get_hub().loop.timer(max(seconds, 0.0))
        self._timer.start(self._time_is_up)

    def _time_is_up(self) -> None:
        # The loop may fire a millisecond early. An actor woken before its time would find nothing to do, and
        # not be woken again.
        left = self._wake_at - monotonic()
        if left > 0:
            self._set_timer(left)
        else:
            self.actor_inbox.wake_from_hub()

    def disown(self) -> None:
        """In a forked child: what this actor works on is the parent's. It does nothing any more but end when
        it is told to.
        """
        self.actor_inbox.look = None
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        for hook in ("on_wake", "on_stop", "on_failure", "on_exit"):
            setattr(self, hook, _nothing)

    # the loop

    def _actor_loop(self) -> None:
        fields_here.set(self._log_fields)
        life = self._life
        reason = ExitReason.normal()
        fatal: BaseException | None = None
        try:
            self.on_start()
            life.started.set()
            if self.looks_in_hub:
                self.actor_inbox.look = partial(copy_context().run, self.look_in_hub)
            self._run()
            reason = life.asked_reason or ExitReason.normal()
        except GreenletExit:
            reason = ExitReason.killed()
        except BaseException as error:  # noqa: BLE001 - nothing an actor raises reaches another actor
            reason = ExitReason.crashed(error)
            if isinstance(error, (KeyboardInterrupt, SystemExit)):
                fatal = error  # a signal handler ran in this greenlet: the main greenlet must hear of it
        self._end(reason)
        if fatal is not None:
            raise fatal

    def _run(self) -> None:
        inbox, queue, stopped = self.actor_inbox, self.actor_inbox.queue, self.actor_stopped
        budget = LoopBudget(get_hub().loop)
        while True:
            if not queue and not inbox.woken:
                inbox.park()
            if inbox.woken:
                inbox.woken = False
                self.on_wake()
                self._handle_postponed(budget)
                if inbox.woken:  # meanwhile, perhaps by itself: what it waits for may need the hub
                    let_hub_run()
            while queue:
                self._handle(queue.popleft())
                if stopped.is_set():
                    return

    def _handle_postponed(self, budget: LoopBudget) -> None:
        """Once more. Thousands may wait for the same, and the actor may be woken several times in a turn."""
        postponed = self._postponed
        for _ in range(len(postponed)):
            if budget.is_over():
                let_hub_run()
            self._handle(postponed.popleft())

    def _handle(self, envelope: Any) -> None:
        reply_to = envelope.reply_to
        if reply_to is None:
            self._handle_receive(envelope.message)
            return
        if isinstance(envelope.message, _ActorStop):
            self._life.stop_replies.append(reply_to)
            self._handle_receive(envelope.message)
            return
        if reply_to.is_set:
            return  # who asked has left
        try:
            answer = self._handle_receive(envelope.message)
            if answer is POSTPONED:
                self._postponed.append(envelope)
            elif not reply_to.is_set:
                reply_to.set(answer)
        except GreenletExit:
            error = ActorDeadError(f"{self} was killed while handling the message")
            reply_to.set_exception((ActorDeadError, error, None))
            raise
        except Exception:  # noqa: BLE001 - an ask's exception is the asker's; the actor goes on, as in pykka
            if not reply_to.is_set:
                reply_to.set_exception()
        except BaseException:
            reply_to.set_exception()
            raise

    def _stop(self) -> None:
        """Handle pykka's stop message: leave the loop after this envelope."""
        self.actor_stopped.set()

    def _end(self, reason: ExitReason) -> None:
        self.actor_stopped.set()
        _unregister(self._actor_ref)
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        error = reason.exception
        try:
            if reason.is_abnormal:
                if error is not None and self._life.started.is_set and not self._life.is_monitored:
                    # Who monitors it tells the log: a supervisor's event has this traceback, and one is
                    # enough.
                    log.error("actor_crashed", actor=str(self), exception=traceback_of(error))
                self.on_failure(*((type(error), error, error.__traceback__) if error is not None else (None, None, None)))
            else:
                self.on_stop()
        except GreenletExit:  # it took too long over its end, and somebody lost patience
            reason = ExitReason.killed()
        except BaseException as hook_error:  # noqa: BLE001 - a failing hook must not keep the rest of the end from happening
            log.error("actor_hook_failed", actor=str(self), exception=traceback_of(hook_error))
            if not reason.is_abnormal:
                reason = ExitReason.crashed(hook_error)
        try:
            self.on_exit(reason)
        except BaseException as hook_error:  # noqa: BLE001 - a failing hook must not keep the rest of the end from happening
            log.error("actor_hook_failed", actor=str(self), exception=traceback_of(hook_error))
        self._actor_loop_teardown()
        self._life.end(reason)

    def _actor_loop_teardown(self) -> None:
        while self._postponed:
            self.actor_inbox.queue.appendleft(self._postponed.pop())
        self.actor_inbox.close(str(self))
        for reply_to in self._life.stop_replies:
            reply_to.set(None)

    def _never_ran(self, greenlet: Any) -> None:
        """A greenlet killed before its first switch never enters the loop; its end is settled here instead.

        So is one that an exception of a signal handler left unsettled.
        """
        if self._life.exit_reason is None:
            self._end(ExitReason.killed())
        else:
            self._life.end(self._life.exit_reason)


# pykka's own `register` and `unregister` also log, here in the middle of a start: the handlers are the
# user's, and what holds logging's lock may itself be waiting for this actor.


def _register(ref: GeventActorRef[Any]) -> None:
    with ActorRegistry._actor_refs_lock:
        ActorRegistry._actor_refs.append(ref)


def _unregister(ref: GeventActorRef[Any]) -> None:
    with ActorRegistry._actor_refs_lock, suppress(ValueError):
        ActorRegistry._actor_refs.remove(ref)


def _nothing(*_anything: object) -> None:
    """What a disowned actor does."""


def forget_actors(hub: Any) -> None:
    """Their hub is gone, and they with it: nobody finds them any more."""
    for ref in ActorRegistry.get_by_class(GeventActor):
        if ref.actor_inbox.is_of(hub):  # type: ignore[attr-defined]
            _unregister(ref)  # type: ignore[arg-type]


def disown_all() -> None:
    """In a forked child: disown all actors there are. The registry's lock may be held by a thread that was
    not forked along.
    """
    ActorRegistry._actor_refs_lock = threading.RLock()
    refs = ActorRegistry._actor_refs
    ActorRegistry._actor_refs = [ref for ref in refs if not issubclass(ref.actor_class, GeventActor)]
    for ref in refs:
        actor = ref._actor_weakref()
        if isinstance(actor, GeventActor):
            actor.disown()
