"""The part that all supervisors share: a greenlet with a mailbox, a table of children, and a handle others
hold.

The life of a supervisor:

1. `start` spawns the loop and waits. The loop starts the children in order; if one fails, those started are
   stopped in reverse, the loop ends, and `start` raises.
2. The loop waits for messages: a life that ended, a restart whose time has come, a call, a shutdown. They are
   served one after the other; a restart that failed is such a message too, so that a shutdown can be served
   in between.
3. A shutdown, or a decision to give up, ends the loop: the children are stopped, as their specs say.
4. A kill, or an error in the loop itself, kills the children instead; nothing is orphaned.
5. When the greenlet is over, its end is told: calls still waiting get an error, the name is freed, monitors
   are called.

Only the loop changes the table. Reading calls read it directly, so they answer even while a start function
hangs.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, Self

import gevent
from gevent.event import AsyncResult

from klife_supervision.call import Call
from klife_supervision.child_spec import ChildSpec
from klife_supervision.errors import RestartIntensityReached, StartFailed, SupervisorStopped
from klife_supervision.events import emit
from klife_supervision.exit_reason import ExitReason
from klife_supervision.latch import Latch
from klife_supervision.life import Child, Life, Retry
from klife_supervision.logs import fields_here
from klife_supervision.mailbox import HomeThread, Mailbox
from klife_supervision.monitors import Monitors, call_guarded
from klife_supervision.options import SupervisorOptions
from klife_supervision.policy import RestartPlan, RestartWindow, restart_pause, should_restart
from klife_supervision.registry import register, release
from klife_supervision.second_look import SecondLook
from klife_supervision.table import ChildTable

# gevent's greenlets are collected as garbage when nothing that can wake them is reachable; a supervisor ends
# when told to.
_alive: set[SupervisorLoop] = set()


def forget_supervisors(hub: Any) -> None:
    """Their hub is gone, and they with it: nothing of them can run again."""
    for supervisor in [each for each in _alive if each._home.is_of(hub)]:
        _alive.discard(supervisor)


SupervisorState = Literal["starting", "running", "stopping", "ended"]


class ShutdownAsked:
    """Message: end in an orderly way, with this reason."""

    __slots__ = ("reason",)

    def __init__(self, reason: ExitReason) -> None:
        self.reason = reason


class SupervisorLoop(ABC):
    """The loop of `Supervisor` and `DynamicSupervisor`, which add what differs; `SupervisorHandle` adds what
    others call.
    """

    def __init__(self, options: SupervisorOptions) -> None:
        self._options = options
        self._label = options.label
        self._window = RestartWindow(options.intensity, options.period)
        self._home = HomeThread()
        self._mailbox: Mailbox[Life | Retry | Call[Any] | ShutdownAsked] = Mailbox()
        self._table = ChildTable(options.label, self._mailbox.put)
        self._monitors = Monitors()
        self._started: Any = AsyncResult()
        self._ended = Latch(self._home)
        self._state: SupervisorState = "starting"
        self._verdict: ExitReason | None = None
        self._gave_up: ExitReason | None = None
        self._failure: StartFailed | None = None
        self._call: Call[Any] | None = None
        self._greenlet: Any = None
        self._second_look: SecondLook | None = None
        self._log_fields = fields_here.get()

    # Differences between the two kinds.

    @abstractmethod
    def _restart_plan(self, child: Child) -> RestartPlan:
        """Who is stopped and started when this child is to be restarted."""

    @abstractmethod
    def _ended_for_good(self, child: Child, reason: ExitReason) -> None:
        """A child ended by itself and is not to be restarted."""

    @abstractmethod
    def _terminate_all(self) -> None:
        """Stop all children, as their specs say."""

    # The loop.

    def _run(self, specs: Sequence[ChildSpec]) -> None:
        """The greenlet, whichever way it ends: children first, then itself. `_finish` is called once it is
        over.
        """
        fields_here.set(self._log_fields)
        try:
            if self._start_all(specs):
                self._state = "running"
                if not self._options.nested:
                    emit("debug", "supervisor started", supervisor=self._label, children=len(specs))
                self._started.set(None)
                while self._verdict is None:
                    self._handle(self._mailbox.get())
            self._state = "stopping"
            self._terminate_all()
        except gevent.GreenletExit:
            self._state = "stopping"
            self._verdict = ExitReason.killed()
            self._table.kill_all()
        except BaseException as error:
            self._state = "stopping"
            self._verdict = self._gave_up = ExitReason.crashed(error)
            emit("critical", "supervisor crashed", supervisor=self._label, reason=str(self._verdict), error=error)
            self._table.kill_all()
            if not isinstance(error, Exception):
                # KeyboardInterrupt is meant for the program: gevent hands it to the main greenlet.
                raise
        if not self._options.nested and self._failure is None:
            emit("debug", "supervisor exited", supervisor=self._label, reason=str(self._verdict))

    def _start_all(self, specs: Sequence[ChildSpec]) -> bool:
        for spec in specs:
            child = Child(spec)
            self._table.rows[spec.id] = child
            cause = self._table.start(child)
            if cause is not None:
                self._failure = StartFailed(self._label, spec.id, cause)
                self._verdict = ExitReason.crashed(self._failure)
                return False
        return True

    def _handle(self, message: Life | Retry | Call[Any] | ShutdownAsked) -> None:
        if isinstance(message, Life):
            # A life that was stopped or replaced meanwhile is no longer the child's.
            if message.child.life is message:
                self._child_exited(message)
        elif isinstance(message, Retry):
            if message.child.retry is message:
                self._retry(message)
        elif isinstance(message, ShutdownAsked):
            self._verdict = message.reason
        else:
            self._call = message
            message.run()
            self._call = None

    def _child_exited(self, life: Life) -> None:
        child, reason = life.child, life.reason
        assert reason is not None
        self._table.bury(life)
        if should_restart(child.spec.restart, reason):
            self._restart(child, reason, lived=time.monotonic() - life.started_at)
        else:
            self._ended_for_good(child, reason)

    def _restart(self, child: Child, reason: ExitReason, *, lived: float) -> None:
        """Count a restart; give up, or stop who must stop, and start again now or after the child's pause."""
        if self._window.add(time.monotonic()):
            self._give_up(child, reason)
            return
        child.state = "restarting"
        self._stop_for_restart(self._restart_plan(child))
        pause = restart_pause(child.spec.restart_delay or self._options.restart_delay, child.attempt, lived)
        child.attempt = pause.attempt
        if pause.seconds > 0:
            child.retry = Retry(child, reason, counted=True)
            child.retry.after(pause.seconds, self._mailbox.put)
        else:
            self._start_again(child, reason)

    def _retry(self, retry: Retry) -> None:
        retry.child.cancel_retry()
        if retry.counted:
            self._start_again(retry.child, retry.reason)
        else:
            self._restart(retry.child, retry.reason, lived=0.0)

    def _start_again(self, failed: Child, reason: ExitReason) -> None:
        plan = self._restart_plan(failed)
        # Someone may have started one of them by hand during the pause.
        self._stop_for_restart(plan)
        for child_id in plan.start:
            child = self._table.rows[child_id]
            cause = self._table.start(child, because=str(reason) if child is failed else f"restarted with {failed.spec.id!r}")
            if cause is not None:
                child.state = "restarting"
                child.retry = Retry(child, ExitReason.crashed(cause), counted=False)
                # Through the hub: others get their turn, and may ask for a shutdown, however fast the start
                # fails.
                self._home.soon(self._mailbox.put, child.retry)
                return

    def _stop_for_restart(self, plan: RestartPlan) -> None:
        for child_id in plan.stop:
            self._table.stop(self._table.rows[child_id])
        for child_id in plan.drop:
            del self._table.rows[child_id]

    def _give_up(self, child: Child, reason: ExitReason) -> None:
        term = RestartIntensityReached(self._label, child.spec.id, reason, self._options.intensity, self._options.period)
        self._verdict = self._gave_up = ExitReason.shutdown(term, reason.exception)
        emit(
            "error",
            "supervisor gave up",
            supervisor=self._label,
            child=child.spec.id,
            reason=str(reason),
            restarts=child.restarts,
            intensity=self._options.intensity,
            period=self._options.period,
        )

    # Beginning and end, outside of the greenlet.

    @classmethod
    def _start(cls, options: SupervisorOptions, specs: Sequence[ChildSpec]) -> Self:
        supervisor = cls(options)
        supervisor._launch(specs)
        return supervisor

    def _launch(self, specs: Sequence[ChildSpec]) -> None:
        """Spawn the loop and wait until all children are up. If that fails, or the caller is interrupted,
        nothing is left.
        """
        if self._options.name is not None:
            register(self._options.name, self)
        _alive.add(self)
        self._greenlet = gevent.spawn(self._run, specs)
        self._greenlet.rawlink(self._finish)
        self._second_look = SecondLook(self._look)
        try:
            self._started.get()
        except BaseException:
            self._kill_greenlet()
            self._ended.wait(None)
            raise

    def _kill_greenlet(self) -> None:
        self._greenlet.kill(block=False)

    def _look(self) -> None:
        """In the hub, now and then: what was not told (`second_look`)."""
        if self._greenlet.ready():
            self._finish(self._greenlet)
            return
        for child in list(self._table.rows.values()):
            if child.life is not None:
                child.life.look()
        self._mailbox.look()

    def _finish(self, _greenlet: Any) -> None:
        """The greenlet is over (called in the hub): tell everyone who waits or watches. Called again if it
        was not finished.
        """
        if self not in _alive:
            return
        reason = self._verdict or ExitReason.killed()
        self._state = "ended"
        if self._options.name is not None:
            release(self._options.name, self)
        # First, so that a call from another thread either sees it or is in the mailbox that is drained next.
        self._monitors.fire(reason)
        stopped = SupervisorStopped(self._label, reason)
        calls = [self._call, *(message for message in self._mailbox.drain() if isinstance(message, Call))]
        for call in calls:
            if call is not None:
                call.refuse(stopped)
        if not self._started.ready():
            self._started.set_exception(self._failure or stopped)
        self._ended.open()
        if self._gave_up is not None and self._options.on_give_up is not None:
            # In a greenlet of its own: it is the user's, and may wait.
            gevent.spawn(call_guarded, self._options.on_give_up, self._gave_up)
        _alive.discard(self)
        if self._second_look is not None:
            self._second_look.stop()
