"""`HubWatch`: makes sure that the hub runs, though records are produced in a tight loop.

Producing yields to nobody, so a greenlet that does nothing else would keep everybody waiting, its own records included, until the
buffer is full. The first record of each millisecond has the watch look; the batchers tell it that the hub ran.
"""

from __future__ import annotations

from time import time

from gevent import get_hub

from klife.actors.settings import HUB_RUNS_EVERY_MS
from klife_supervision.breathe import let_hub_run


class HubWatch:
    """When the hub ran, as far as one producer's callers know."""

    def __init__(self) -> None:
        self.looked_ms = 0  # when it was last seen whether the hub is due; wall clock, because a record's time is at hand
        self._due_ms = 0  # when a caller in a tight loop lets the hub run
        self._marked = False
        self._loop = get_hub().loop

    def look(self, now_ms: int) -> bool:
        """A millisecond has begun in which records are produced: let the hub run if it is due. Return whether it ran.

        To be called before the record is queued: what is thrown into a greenlet that yields here (a kill, a timeout) must mean that
        nothing was.
        """
        self.looked_ms = now_ms
        if 0 <= self._due_ms - now_ms <= HUB_RUNS_EVERY_MS:  # else it is due, or the wall clock was set back
            return False
        if self._marked:  # since some milliseconds, in which the hub did not run
            self.hub_ran(time())  # at once, so that those who produce during this turn do not ask for another
            let_hub_run()
            self.hub_ran(time())
            return True
        # Nobody has noticed the hub running, but perhaps only because it was quiet: leave a mark for the hub to wipe out.
        self._marked = True
        self._loop.run_callback(self._wipe_mark)
        self._due_ms = now_ms + HUB_RUNS_EVERY_MS
        return False

    def _wipe_mark(self) -> None:
        self._marked = False

    def hub_ran(self, now: float) -> None:
        """The hub ran at `now` (wall-clock seconds), so no caller needs to let it for some milliseconds."""
        self._marked = False
        self._due_ms = int(now * 1000) + HUB_RUNS_EVERY_MS
