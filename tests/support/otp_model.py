"""A supervisor as the reference manual of supervisor(3) describes it, without a process: what it does, in
what order, and how it ends.

Written from the manual and not from the code, to be compared with it. There is no time: all restarts are
within the period.
"""

from __future__ import annotations

from dataclasses import dataclass


class Refused(Exception):
    """The call is answered with an error; the name is the error's."""


@dataclass
class Row:
    """One child specification."""

    restart: str
    significant: bool = False
    running: bool = False


class OtpSupervisor:
    """`failing[child]` is how many of the child's next starts fail. `journal` is what was done; `ended` why
    it is over.
    """

    def __init__(self, strategy: str, intensity: int, auto_shutdown: str) -> None:
        self.strategy = strategy
        self.intensity = intensity
        self.auto_shutdown = auto_shutdown
        self.rows: dict[str, Row] = {}
        self.failing: dict[str, int] = {}
        self.journal: list[str] = []
        self.ended: str | None = None
        self._restarts = 0

    # The user's calls.

    def start_child(self, child: str, restart: str, significant: bool) -> None:
        if child in self.rows:
            raise Refused("AlreadyStarted")
        row = Row(restart, significant)
        if not self._starts(child, row):
            raise Refused("StartFailed")
        self.rows[child] = row

    def terminate_child(self, child: str) -> None:
        row = self._row(child)
        self._stop(child)
        if row.restart == "temporary":
            del self.rows[child]

    def restart_child(self, child: str) -> None:
        if self._row(child).running:
            raise Refused("ChildStillRunning")
        if not self._starts(child, self.rows[child]):
            raise Refused("StartFailed")

    def delete_child(self, child: str) -> None:
        if self._row(child).running:
            raise Refused("ChildStillRunning")
        del self.rows[child]

    def stop(self) -> None:
        self._end("stopped")

    # What happens to it.

    def exited(self, child: str, abnormal: bool) -> None:
        row = self.rows[child]
        row.running = False
        if row.restart == "permanent" or (row.restart == "transient" and abnormal):
            self._restart(child)
            return
        if row.restart == "temporary":
            del self.rows[child]
        left = [other for other in self.rows.values() if other.significant and other.running]
        if row.significant and (self.auto_shutdown == "any_significant" or (self.auto_shutdown == "all_significant" and not left)):
            self._end("auto shutdown")

    # How.

    def _restart(self, child: str) -> None:
        self._restarts += 1
        if self._restarts > self.intensity:
            self._end("gave up")
            return
        order = list(self.rows)
        group = {"one_for_one": [child], "rest_for_one": order[order.index(child) :], "one_for_all": order}[self.strategy]
        for each in reversed(group):
            if each != child:
                self._stop(each)
        for each in group:
            if self.rows[each].restart == "temporary":
                del self.rows[each]
        for each in [each for each in group if each in self.rows]:
            if not self._starts(each, self.rows[each]):
                self._restart(each)
                return

    def _end(self, why: str) -> None:
        self.ended = why
        for child in reversed(self.rows):
            self._stop(child)

    def _row(self, child: str) -> Row:
        if child not in self.rows:
            raise Refused("ChildNotFound")
        return self.rows[child]

    def _starts(self, child: str, row: Row) -> bool:
        self.journal.append(f"start {child}")
        fails = self.failing.get(child, 0) > 0
        self.failing[child] = max(0, self.failing.get(child, 0) - 1)
        row.running = not fails
        return row.running

    def _stop(self, child: str) -> None:
        if self.rows[child].running:
            self.journal.append(f"shutdown {child}")
            self.rows[child].running = False
