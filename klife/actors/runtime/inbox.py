"""`Inbox`: an actor's mailbox, with a second way to be woken that costs no message.

Control comes as envelopes (`put`). Data does not: a producer's records wait in plain values, a connection's
bytes in its socket, and all that has to be said is "look". That is `wake`: a flag and at most one loop
callback, however often it is called before the actor runs. The callback comes after the greenlets that are
ready now. `wake_when_idle` goes further: it comes after all that is ready in the sockets too, and the
greenlets which that wakes. That is what lets sixteen of them share a request.

To an actor whose looking waits for nothing no switch is needed either: the inbox calls its `look` in the hub, as
if in the actor's greenlet. What that raises is raised there. Where it would have to wait this time, it does nothing
and returns true, and the greenlet looks itself.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from gevent import get_hub, getcurrent
from gevent._hub_local import get_hub_if_exists
from pykka import ActorDeadError
from pykka.messages import _ActorStop

from klife.actors.runtime.forked import is_forked, take_note

_LATEST = 0.001  # seconds; the least that the loop waits


class Inbox:
    """A queue for one consumer greenlet. Any thread may `put` and `wake`; only the actor's greenlet calls
    `park` and `get`.
    """

    __slots__ = (
        *("queue", "woken", "idle", "busy", "gathering", "look"),
        *("_dead", "_hub", "_loop", "_parked", "_scheduled", "_idle", "_latest"),
    )

    def __init__(self) -> None:
        self.queue: deque[Any] = deque()
        self.woken: bool = False
        self.idle: bool = False  # whether it was woken because nothing else was ready; the actor takes it back
        self.busy: bool = False  # whether others were ready even so, and it has only waited long enough; taken back, too
        self.gathering: bool = False  # whether it will be
        self.look: Any = None  # what is called in the hub, instead of a switch to an actor that was woken
        self._hub = get_hub()
        self._loop = self._hub.loop
        self._parked: Any = None
        self._scheduled = False
        self._dead: str | None = None
        self._idle: Any = None
        self._latest: Any = None

    def is_of(self, hub: Any) -> bool:
        """Whether its consumer runs in `hub`."""
        return self._hub is hub

    def put(self, envelope: Any, /) -> None:
        self.queue.append(envelope)
        if get_hub_if_exists() is self._hub:
            if self._parked is not None and not self._scheduled:
                self._scheduled = True
                self._loop.run_callback(self._switch)
        else:
            self._loop.run_callback_threadsafe(self._switch)

    def wake(self) -> None:
        """Ask the actor to look at its state (`on_wake`), after the greenlets that are ready now. Idempotent."""
        self.woken = True
        if self._parked is not None and not self._scheduled:
            if get_hub_if_exists() is self._hub:
                self._scheduled = True
                self._loop.run_callback(self._switch)
            else:
                self._loop.run_callback_threadsafe(self._switch)

    def wake_from_hub(self) -> None:
        """The same for a watcher's callback, which already runs in the hub: switch to the actor at once."""
        self.woken = True
        self._switch()

    def look_again(self) -> None:
        """A wake-up may have been lost, to an exception that a signal handler raised in a callback of the
        loop: wake once more.
        """
        self._scheduled = False
        if self._idle is None or not self._idle.active:
            self.gathering = False
        self.wake()

    def wake_when_idle(self) -> None:
        """Ask the actor to look once nothing else is ready to run, sockets and timers included; on a busy
        loop, a millisecond from now.

        Idempotent. Only from the actor's thread.
        """
        if self.gathering or self._dead is not None:
            return
        self.gathering = True
        if self._idle is None:
            self._idle, self._latest = self._loop.idle(), self._loop.timer(_LATEST, _LATEST)
        self._idle.start(self._gathered)
        self._latest.again(self._at_last)  # `start` would go on with what was left of the time when it was stopped

    def wake_after_ready(self) -> None:
        """As `wake_when_idle`, after the greenlets that are ready now, and nothing else: for who knows that
        waiting longer brings nothing.
        """
        if self.gathering or self._dead is not None:
            return
        self.gathering = True
        self._loop.run_callback(self._ready_ran)

    def _gathered(self) -> None:
        self._idle.stop()
        self._latest.stop()
        self._ready_ran()

    def _ready_ran(self) -> None:
        self.gathering = False
        self.idle = self.woken = True
        self._switch()

    def _at_last(self) -> None:
        self.busy = True
        self._gathered()

    def _switch(self) -> None:
        if is_forked():
            take_note()  # before the actor reads, writes or connects with what is its parent's
        self._scheduled = False
        greenlet = self._parked
        if greenlet is not None:
            self._parked = None
            if self.look is not None and not self.queue:
                self._look(greenlet)
            else:
                greenlet.switch()
        elif self._dead is not None:
            self._answer_left(self._dead)

    def _look(self, greenlet: Any) -> None:
        """Do what `greenlet` would do, which waits to be woken."""
        self.woken = waits = False
        try:
            waits = self.look()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the actor's
            greenlet.throw(error)
            return
        self._parked = greenlet
        self.woken = self.woken or waits
        if self.queue or self.woken:  # meanwhile, perhaps by itself: its greenlet can let the hub run in between
            self._parked = None
            greenlet.switch()

    def close(self, actor: str) -> None:
        """The actor has ended: answer what is left, so that nobody waits for it.

        What another thread puts later, having seen the actor alive a moment before, is answered too.
        """
        self._dead = actor
        self.look = None
        if self._idle is not None:
            for watcher in (self._idle, self._latest):
                watcher.stop()
                watcher.close()
        self._answer_left(actor)

    def _answer_left(self, actor: str) -> None:
        while self.queue:
            envelope = self.queue.popleft()
            if envelope.reply_to is None or envelope.reply_to.is_set:
                continue
            if isinstance(envelope.message, _ActorStop):
                envelope.reply_to.set(None)
            else:
                error = ActorDeadError(f"{actor} stopped before handling the message")
                envelope.reply_to.set_exception((ActorDeadError, error, None))

    def park(self) -> None:
        """Sleep until there is an envelope or a wake-up."""
        greenlet = self._parked = getcurrent()  # before each look: who comes from another thread behind it, knows whom to wake
        try:
            while not self.woken and not self.queue:
                self._hub.switch()
                self._parked = greenlet
        finally:
            self._parked = None

    def get(self) -> Any:
        """Take the next envelope, waiting for it. (pykka's interface; the actor loop itself drains `queue`.)"""
        while not self.queue:
            self.woken = False
            self.park()
        return self.queue.popleft()

    def empty(self) -> bool:
        return not self.queue
