"""A supervisor's table of children, and the carrying out: start one, stop one, kill all. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import gevent

from klife_supervision import events
from klife_supervision.child import as_running_child
from klife_supervision.errors import NameTaken, StartTimeout
from klife_supervision.exit_reason import ExitReason
from klife_supervision.life import Child, Life, terminate, wait_killed
from klife_supervision.mailbox import HomeThread
from klife_supervision.registry import register, release


class ChildTable:
    """`rows` by id, in start order. Only the supervisor's loop calls the methods; `tell` gets every life that
    ended.
    """

    def __init__(self, supervisor: Hashable, tell: Callable[[Life], None]) -> None:
        self.rows: dict[Hashable, Child] = {}
        self._supervisor = supervisor
        self._tell = tell
        self._home = HomeThread()

    def start(self, child: Child, *, because: str | None = None) -> BaseException | None:
        """Start it; returns what went wrong, or None. `because` is why, if it is a restart."""
        child.state = "starting"
        try:
            cause = self._try_start(child)
        except BaseException:
            child.state = "stopped"
            raise
        if cause is not None:
            child.state = "stopped"
            events.child_start_failed(self._supervisor, child.spec.id, cause, child.restarts)
            return cause
        child.state = "running"
        if because is None:
            events.child_started(self._supervisor, child.spec.id, child.restarts)
        else:
            child.restarts += 1
            events.child_restarted(self._supervisor, child.spec.id, because, child.restarts)
        return None

    def _try_start(self, child: Child) -> BaseException | None:
        spec = child.spec
        deadline = gevent.Timeout.start_new(spec.start_timeout)
        try:
            handle = spec.start()
            running = as_running_child(handle)
        except (gevent.GreenletExit, KeyboardInterrupt):
            # Meant for the supervisor, or the program; not a failure of this start.
            raise
        except BaseException as error:  # noqa: BLE001 - whatever else a start raises fails that start alone, and is reported
            if error is deadline:
                # Its cause has the traceback: the line at which the start hung.
                timeout = StartTimeout(
                    f"start of child {spec.id!r} took longer than its start_timeout, {spec.start_timeout:g} s; start returns "
                    "the running child, it does not run it (ChildSpec.from_callable has a function run in a greenlet)"
                )
                timeout.__cause__ = error
                return timeout
            return error
        finally:
            deadline.close()
        child.life = Life(child, handle, running, self._home, self._tell)
        if spec.name is not None:
            try:
                register(spec.name, handle)
            except NameTaken as error:
                self.stop(child)
                return error
        return None

    def stop(self, child: Child) -> None:
        """End it as its spec says, and wait; nothing if it does not run. A restart to come is cancelled."""
        self.stop_together([child])

    def stop_together(self, children: list[Child]) -> None:
        """End all of them at once, each as its spec says, and wait."""
        lives = []
        for child in children:
            child.cancel_retry()
            if child.life is None:
                child.state = "stopped"
            else:
                child.state = "stopping"
                lives.append(child.life)
        terminate(lives, ExitReason.shutdown())
        for life in lives:
            self.bury(life)

    def kill_all(self) -> None:
        """Kill all children, last started first, and wait until they have ended; another kill does not cut
        that short.
        """
        lives = []
        for child in reversed(self.rows.values()):
            child.cancel_retry()
            child.state = "stopped"
            if child.life is not None:
                lives.append(child.life)
                child.life.kill()
        while True:
            try:
                wait_killed(lives)
                break
            except gevent.GreenletExit:
                continue
        for life in lives:
            self.bury(life)

    def bury(self, life: Life) -> None:
        """A life is over, or abandoned: its one event, its name, its row."""
        child = life.child
        child.life = None
        child.state = "stopped"
        if child.spec.name is not None:
            release(child.spec.name, life.handle)
        events.child_exited(self._supervisor, child.spec.id, life.reason or ExitReason.killed(), child.restarts)
