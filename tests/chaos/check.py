"""What must hold between what a client said and what is in the logs. Pure functions: journal and logs in,
violations out.

Which promises hold depends on the producer's settings:

| acks | idempotent | delivered | failed | possibly persisted | order |
|---|---|---|---|---|---|
| all | yes | once, at the returned offset | absent | at most once | of the whole log |
| all | no | at the returned offset, perhaps elsewhere too | absent | anything | of the returned offsets |
| 1 | no | as before, or lost with its leader | absent | anything | of the returned offsets |
| 0 | no | anything | absent | anything | none |

A delivery without an offset (a resend that the broker knew as a duplicate) must be in the log all the same.

Of a topic that was deleted, what was produced before it was there again may be gone, wherever it went. The
other rules stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.chaos.journal import DELIVERED, FAILED, POSSIBLY, UNRESOLVED, Entry

Name = tuple[int, int]

LOST = "lost"
DOUBLED = "doubled"
MISPLACED = "not at the returned offset"
GHOST = "failed, and in the log"
DAMAGED = "not as it was produced"
FOREIGN = "in the log, and never produced"
DISORDERED = "out of order"
LATE = "settled late"
BLOCKED = "produce blocked too long"
TWICE = "settled twice"
OPEN = "never settled"


class Found(NamedTuple):
    """A record in a log, as the independent reader found it."""

    topic: str
    partition: int
    offset: int
    worker: int
    number: int
    crc: int

    @property
    def name(self) -> Name:
        return self.worker, self.number


@dataclass(frozen=True, slots=True)
class Promise:
    """What is promised of a topic's records, and for how long at most `produce` may wait.

    `whole_since` (monotonic seconds) is when the topic was there again after a deletion, 0 if it never was
    deleted.
    """

    acks: str | int
    idempotent: bool
    max_block: float
    whole_since: float = 0.0


class Violation(NamedTuple):
    """A broken promise, and the record that shows it (None where no single one does)."""

    kind: str
    name: Name | None
    detail: str


class Slack(NamedTuple):
    """How late an outcome or a return may be: `seconds`, and what the machine kept the load waiting.

    `waits` are its longer waits for a processor: when each ended (monotonic seconds), and how long it was.
    """

    seconds: float
    waits: Sequence[tuple[float, float]] = ()

    def is_passed(self, due: float, came: float) -> bool:
        """Whether what was `due` then came too late: by more than `seconds` and the longest wait, or all that there
        were between the two, for on a busy machine one follows the other.
        """
        if came <= due + self.seconds:
            return False
        longest = max((wait for _, wait in self.waits), default=0.0)
        between = sum(wait for ended, wait in self.waits if ended > due and ended - wait < came)
        return came > due + self.seconds + max(longest, between)


def check(
    entries: Sequence[Entry], found: Sequence[Found], promises: Mapping[str, Promise], slack: Slack
) -> tuple[list[Violation], dict[str, int]]:
    """All violations, and counts of what was seen."""
    by_name: dict[Name, Entry] = {}
    violations: list[Violation] = []
    for entry in entries:
        if entry.name in by_name:
            violations.append(Violation(TWICE, entry.name, f"as {by_name[entry.name].outcome} and as {entry.outcome}"))
        by_name[entry.name] = entry
    places: dict[Name, list[Found]] = defaultdict(list)
    logs: dict[tuple[str, int], list[Found]] = defaultdict(list)
    for each in found:
        places[each.name].append(each)
        logs[each.topic, each.partition].append(each)
    counts: dict[str, int] = defaultdict(int)
    for entry in by_name.values():
        promise = promises[entry.topic]
        counts[entry.outcome] += 1
        violations += _punctual(entry, promise, slack)
        violations += _present(entry, promise, places.get(entry.name, ()), counts)
    for name in places.keys() - by_name.keys():
        violations.append(Violation(FOREIGN, name, _where(places[name])))
    for (topic, _), log in logs.items():
        violations += _ordered(log, by_name, promises[topic])
    return violations, dict(counts)


def _punctual(entry: Entry, promise: Promise, slack: Slack) -> Iterable[Violation]:
    blocked = entry.returned - entry.called
    if slack.is_passed(entry.called + promise.max_block, entry.returned):
        yield Violation(BLOCKED, entry.name, f"{blocked:.2f} s in the call, max_block_ms is {promise.max_block:g} s")
    if entry.outcome == UNRESOLVED:
        yield Violation(OPEN, entry.name, "though its client was flushed and stopped")
        return
    # The clock starts when the record is queued, which is somewhere in the call.
    queued = max(entry.returned, entry.called)
    waited = entry.settled - queued
    if slack.is_passed(queued + entry.allowed, entry.settled):
        yield Violation(LATE, entry.name, f"after {waited:.2f} s, {entry.allowed:g} s are allowed")


def _present(entry: Entry, promise: Promise, places: Sequence[Found], counts: dict[str, int]) -> Iterable[Violation]:
    """Whether a record is where its outcome says, and as often."""
    if any(place.crc != entry.crc or place.topic != entry.topic for place in places):
        yield Violation(DAMAGED, entry.name, _where(places))
    if entry.outcome == FAILED:
        if places:
            yield Violation(GHOST, entry.name, _where(places))
        return
    if len(places) > 1:
        if promise.idempotent:
            yield Violation(DOUBLED, entry.name, _where(places))
        else:
            counts["doubled without idempotence"] += 1
    if entry.outcome == POSSIBLY:
        counts["possibly persisted, and in the log"] += bool(places)
    if entry.outcome != DELIVERED or entry.called < promise.whole_since or promise.acks == 0:
        return
    if entry.offset is None:
        counts["delivered without an offset"] += 1
    at_place = [place for place in places if entry.offset in (None, place.offset) and place.partition == entry.partition]
    if at_place:
        return
    if promise.acks == 1:
        counts["lost with acks=1"] += 1
    elif places:
        yield Violation(MISPLACED, entry.name, f"returned {entry.topic}-{entry.partition} at {entry.offset}; {_where(places)}")
    else:
        yield Violation(LOST, entry.name, f"returned {entry.topic}-{entry.partition} at {entry.offset}")


def _ordered(log: Sequence[Found], by_name: Mapping[Name, Entry], promise: Promise) -> Iterable[Violation]:
    """Whether what one call finished producing before another began stands before it in the log.

    A worker's own records are in the order of their numbers. Over all workers a record is out of order if its
    call had returned before that of an earlier one in the log began.
    """
    if promise.acks == 0:
        return
    last: dict[int, Found] = {}
    newest: Entry | None = None
    seen: set[Name] = set()
    for each in sorted(log, key=lambda each: each.offset):
        entry = by_name.get(each.name)
        if entry is None or each.name in seen:
            continue
        if not promise.idempotent and not (entry.outcome == DELIVERED and entry.offset == each.offset):
            continue
        seen.add(each.name)
        before = last.get(each.worker)
        if before is not None and before.number > each.number:
            yield Violation(DISORDERED, each.name, f"{_where([each])} behind its worker's later {before.number} at {before.offset}")
            continue
        last[each.worker] = each
        if newest is not None and entry.back < newest.call:
            yield Violation(DISORDERED, each.name, f"{_where([each])} behind {newest.worker}:{newest.number}, which was called later")
        elif newest is None or entry.call > newest.call:
            newest = entry


def _where(places: Iterable[Found]) -> str:
    return "found " + ", ".join(f"in {place.topic}-{place.partition} at {place.offset}" for place in places)
