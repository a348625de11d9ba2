"""`Engine`: the state of one running client, apart from the actors that work on it.

It owns what every use of a cluster needs: the hub, the cluster's metadata and brokers, the supervision tree
(`tree` builds it), and the end. What the client does with all that are its parts (`Part`), which register
with `add`; the engine knows of each no more than that protocol. When the client's tree ends, for whatever
reason, `ended` has every part settle what is left, so that nobody waits for an answer that can not come.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

import gevent
from gevent import get_hub
from gevent._hub_local import get_hub_if_exists

from klife.actors.closed import client_closed
from klife.actors.health import Health
from klife.actors.metadata.metadata import Metadata
from klife.actors.orphan import forget_tree, let_go_of_sockets
from klife.actors.part import Part
from klife.actors.runtime.callback_threads import call_outside_hub
from klife.actors.runtime.home import has_own_thread, tell_of_end
from klife.actors.runtime.latch import Latch, get_thread_ident, may_switch
from klife.actors.settings import ClientSettings
from klife.errors import ClientClosed
from klife_supervision import AutoShutdown, ExitReason, RestartIntensityReached
from klife_supervision.logs import Logger, get_logger, telling

log: Logger = get_logger("klife")

P = TypeVar("P", bound=Part)


class Engine:
    """One running client."""

    def __init__(self, settings: ClientSettings) -> None:
        self.settings = settings
        self.name: str = settings.name
        self.hub: Any = get_hub()
        self.home: int = get_thread_ident()  # the hub's thread, as long as that has not ended
        self.loop: Any = self.hub.loop
        self.has_own_thread: bool = has_own_thread(self.hub)
        self.metadata: Metadata = Metadata(settings)
        self.health: Health = Health(self.metadata)
        self.parts: list[Part] = []
        self.supervisor: Any = None
        self._calling: set[Any] = set()  # greenlets of `call_soon`
        self.closing: str | None = None
        self.finished: Latch = Latch(self.hub)
        self.on_end: list[Callable[[Engine], None]] = []  # told before those who wait for it
        self.undelivered: int = 0
        self.exiting: Callable[[], None] | None = None  # set by `process_exits`
        self.inherited = False  # in a forked child: it is the parent's
        self.in_child = False  # it took the place of one of the parent's, in a forked child
        self.after_fork = False  # it took the place of one of the parent's, in a forked child, or of an orphan
        self.orphaned: bool = False  # the hub that ran it is gone
        self.calls: set[Any] = set()  # from other threads, which wait
        self.held: Any = None  # a weak reference to what its clients hold, while any does
        tell_of_end(self)

    # parts

    def add(self, part: P) -> P:
        """Make `part` one of this client's, before its tree is started."""
        self.parts.append(part)
        self.metadata.register(part)
        return part

    def part(self, kind: type[P]) -> P:
        """The part of that kind.

        Raises:
            LookupError: this client has none.
        """
        for part in self.parts:
            if isinstance(part, kind):
                return part
        raise LookupError(f"client {self.name!r} has no part {kind.__name__}")

    def call_soon(self, function: Callable[[], object]) -> None:
        """Call `function` in a greenlet of the home thread, for which a flush waits as for callbacks. From
        any thread.
        """
        if get_hub_if_exists() is not self.hub:
            self.loop.run_callback_threadsafe(self.call_soon, function)
            return
        greenlet = gevent.spawn(self._call, function)
        self._calling.add(greenlet)
        greenlet.rawlink(self._calling.discard)

    def _call(self, function: Callable[[], object]) -> None:
        if not self.inherited:  # else this greenlet is a copy, in a forked child; the function is called in the parent
            call_outside_hub(self.hub, self._call_told, function)

    def _call_told(self, function: Callable[[], object]) -> None:
        with telling(client=self.name):
            function()

    # the end

    def close(self, reason: str) -> None:
        """Take no more records."""
        if self.closing is None:
            self.closing = reason
        self.metadata.close(self.closed_error)
        for part in self.parts:
            part.close(reason)

    def closed_error(self, so: str = "") -> ClientClosed:
        """Why it is closed; `so` is what becomes of the caller's business: a clause."""
        return client_closed(f"client {self.name!r}", str(self.closing), so)

    @property
    def calls_back_here(self) -> bool:
        """Whether the caller is a callback, which must not wait for its own end. Asked where it runs."""
        return gevent.getcurrent() in self._calling or any(part.calls_back_here for part in self.parts)

    def flush(self, deadline: float, *, in_callback: bool | None = None) -> int:
        """Send what is pending now and wait for the outcomes until `deadline` (monotonic seconds); return how
        many are left. `in_callback` is what `calls_back_here` said where this was asked for, if elsewhere.
        """
        for part in self.parts:  # all of them, before waiting for any
            part.skip_linger(1)
        try:
            left = sum(part.flush(deadline) for part in self.parts)
        finally:
            for part in self.parts:
                part.skip_linger(-1)
        if self.calls_back_here if in_callback is None else in_callback:
            return left
        if not left:
            calling = list(self._calling)  # those there are now; they may have more called
            through = all(part.wait_for_callbacks(deadline) for part in self.parts)
            if len(gevent.joinall(calling, timeout=max(deadline - monotonic(), 0.0))) < len(calling) or not through:
                log.warning("callbacks_still_running", client=self.name)
        return left

    def process_exits(self, deliver: Callable[[], None]) -> None:
        """The process ends. From now on `deliver` is called when something was accepted, as nobody delivers
        it later.
        """
        self.exiting = deliver
        for part in self.parts:
            part.process_exits()

    @property
    def is_whole(self) -> bool:
        """Whether no child in the client's tree was given up."""
        return self.supervisor is not None and all(child.state in ("running", "stopping") for child in self.supervisor.which_children())

    def ended(self, reason: ExitReason) -> None:
        """The client's tree is gone: settle what is left, and let the name go."""
        if self.finished.is_set:
            return
        how = _told(reason)
        self.close(f"it ended ({how})")
        why = f"client {self.name!r} ended ({how}) before the brokers had confirmed"
        left = sum(part.abandon(why) for part in self.parts)
        self.undelivered += left
        if left:
            log.error("records_not_delivered", client=self.name, count=left, reason=str(reason))
        log.info(
            "client_stopped",
            client=self.name,
            reason=how,
            delivered=sum(part.delivered for part in self.parts),
            failed=sum(part.failed for part in self.parts) - self.undelivered,
            undelivered=self.undelivered,
        )
        if not self.orphaned:
            self.metadata.security.close()
        for tell in self.on_end:
            tell(self)
        self.finished.set()

    @property
    def home_is_gone(self) -> bool:
        """Whether the hub that ran it is gone: its thread has ended, or the hub was destroyed."""
        if self.hub.loop is None:
            self.home_ended()
        return self.orphaned

    def home_ended(self) -> None:
        """The hub that ran it is gone: tell everybody, and leave the name to what takes its place. In the
        thread that notices.
        """
        if self.orphaned or self.inherited or self.finished.is_set:
            return
        self.orphaned = True
        how = "the thread that started it has ended, or has destroyed its gevent hub"
        self.metadata.inbox = None
        let_go_of_sockets(self.metadata.brokers.values())
        for part in self.parts:
            part.orphan()
        self.close(how + ("" if self.settings.restart_after_fork else ', and its on_fork is "raise"'))
        for call in list(self.calls):
            call.home_ended()
        self.ended(ExitReason.shutdown(how))
        forget_tree(self.hub, self.supervisor)

    def refuse_stop(self) -> None:
        """Look whether the caller may wait for a stop, before anything is closed.

        Raises:
            RuntimeError: it is the hub, an actor of klife or one of its supervisors, or the client is still
                being started.
        """
        supervisor = self.supervisor
        if not may_switch() or (supervisor is not None and supervisor.is_calling()):
            raise RuntimeError(
                f"client {self.name!r} can not be stopped inside the gevent hub, nor inside klife's own greenlets, where a handler of "
                "signal.signal or a callback of the loop may run: stop waits for deliveries, which come by them. Nothing was stopped. "
                "Use gevent.signal_handler(signal.SIGTERM, client.stop), or gevent.spawn(client.stop)"
            )
        if supervisor is None:
            raise RuntimeError(
                f"client {self.name!r} is still being started, and can not be stopped before. Nothing was stopped. "
                "Call stop once Client.start has returned, or gevent.spawn it"
            )

    def stop(self, timeout: float, *, in_callback: bool | None = None) -> None:
        """Take no more records, deliver what was accepted within `timeout` seconds, settle the rest, end all
        actors. `in_callback` as for `flush`.

        Raises:
            RuntimeError: called where it can not wait, as `refuse_stop` tells. Nothing was stopped.
        """
        self.refuse_stop()
        deadline = monotonic() + timeout
        self.close("it was stopped")
        self.flush(deadline, in_callback=in_callback)
        for part in self.parts:
            self.undelivered += part.abandon(f"client {self.name!r} was stopped before the brokers had confirmed", lets_hub_run=True)
        self.supervisor.stop(timeout=max(deadline - monotonic(), 2.0))
        self.ended(ExitReason.shutdown("stopped"))

    @property
    def longest_wait(self) -> float:
        """Within so many seconds all that was accepted has an outcome."""
        return max((part.longest_wait for part in self.parts), default=0.0)

    @property
    def unsettled(self) -> int:
        """Records without an outcome."""
        return sum(part.unsettled for part in self.parts)

    @property
    def oldest_unsettled(self) -> float | None:
        """When the oldest record without an outcome was produced, in monotonic seconds."""
        return min((oldest for part in self.parts if (oldest := part.oldest_unsettled) is not None), default=None)

    @property
    def has_something_to_end(self) -> bool:
        """Whether a flush at the end has to end something besides records."""
        return any(part.has_something_to_end for part in self.parts)


def _told(reason: ExitReason) -> str:
    """Why a client ended, for those who had records in it: of supervisors that ended for one below them, what
    that one says.
    """
    while isinstance(reason.term, AutoShutdown):
        reason = reason.term.reason
    return str(reason.term) if isinstance(reason.term, RestartIntensityReached) else str(reason)
