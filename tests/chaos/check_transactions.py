"""What must hold between what owners of transactions were told and what readers of committed records see. Pure
functions, as in `check`.

| outcome | its records |
|---|---|
| committed | each once, at the offset that its delivery told |
| aborted, not begun | none |
| unknown | all, each once; or none |

Of an owner at most two are unknown by what `transaction` raised. Where the owner was killed, or its time ran
out, while it committed, nobody told it, which is its own doing: those are counted apart.

In a partition they stand in the order of produce, and so do the transactions of one owner. Nobody is fenced,
since nobody else has the ids; and no partition is held up once all is over.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.chaos.check import DAMAGED, DISORDERED, DOUBLED, FOREIGN, MISPLACED, Slack, Violation
from tests.chaos.ledger import ABORTED, BROKEN, COMMITTED, FENCED, NOT_BEGUN, UNKNOWN, Dealing

TORN = "a transaction is there in part"
LOST = "committed, and not there"
GHOST = "not committed, and there"
HELD_UP = "a partition is held up for readers of committed records"
WITHOUT_OUTCOME = "a transaction without an outcome"
SLOW = "a transaction ended late"
WAITED = "a transaction was waited for too long"
TOO_MANY_UNKNOWN = "an owner has too many unknown commits"

MOST_UNKNOWN = 2
"""Commits that an owner may be told are unknown."""

_EXPECTED = (COMMITTED, ABORTED, NOT_BEGUN, UNKNOWN)


class Seen(NamedTuple):
    """A committed record, as the independent reader found it: which one of its transaction `position` says."""

    topic: str
    partition: int
    offset: int
    owner: int
    number: int
    position: int
    crc: int


def check_transactions(
    dealings: Sequence[Dealing], seen: Sequence[Seen], held_up: Iterable[str], checkout: float, slack: Slack
) -> tuple[list[Violation], dict[str, int]]:
    """All violations, and counts of the outcomes.

    `held_up` are partitions whose last stable offset is not their end; `checkout` is how many seconds an
    owner may wait for its transaction to begin. `slack` as in `check`.
    """
    violations = [Violation(HELD_UP, None, each) for each in held_up]
    counts: dict[str, int] = defaultdict(int)
    told_unknown: dict[int, list[Dealing]] = defaultdict(list)
    by_name = {(dealing.owner, dealing.number): dealing for dealing in dealings}
    found: dict[tuple[int, int], list[Seen]] = defaultdict(list)
    for each in seen:
        found[each.owner, each.number].append(each)
    violations += [Violation(FOREIGN, None, f"transaction {name}: {found[name]}") for name in found.keys() - by_name.keys()]
    for name, dealing in by_name.items():
        counts[dealing.outcome] += 1
        if dealing.outcome == UNKNOWN:
            counts["unknown, and there"] += bool(found[name])
            counts["unknown, and told so" if dealing.error else "unknown, ended in the commit"] += 1
            if dealing.error:
                told_unknown[dealing.owner].append(dealing)
        violations += [Violation(kind, None, f"{dealing}; {what}") for kind, what in _one(dealing, found[name], checkout, slack)]
    for owner, told in told_unknown.items():
        if len(told) > MOST_UNKNOWN:
            violations.append(Violation(TOO_MANY_UNKNOWN, None, f"owner {owner}: " + " | ".join(map(str, told))))
    violations += _ordered(seen)
    return violations, dict(counts)


def _one(dealing: Dealing, found: Sequence[Seen], checkout: float, slack: Slack) -> Iterable[tuple[str, str]]:
    if dealing.outcome not in _EXPECTED:
        yield {FENCED: FENCED, BROKEN: BROKEN}.get(dealing.outcome, WITHOUT_OUTCOME), ""
    began = dealing.begun or dealing.ended
    if slack.is_passed(dealing.asked + checkout, began):
        yield WAITED, f"{began - dealing.asked:.2f} s to begin, checkout_timeout_ms is {checkout:g} s"
    if dealing.ending and slack.is_passed(dealing.ending + dealing.allowed, dealing.ended):
        yield SLOW, f"{dealing.ended - dealing.ending:.2f} s, {dealing.allowed:g} s are allowed"
    there: dict[int, list[Seen]] = defaultdict(list)
    for each in found:
        there[each.position].append(each)
    if any(len(places) > 1 for places in there.values()):
        yield DOUBLED, str(found)
    for index, places in there.items():
        if index >= len(dealing.records) or (places[0].topic, places[0].partition, places[0].crc) != dealing.records[index]:
            yield DAMAGED, str(places)
        told = dealing.offsets.get(str(index))
        if told is not None and dealing.outcome == COMMITTED and told != places[0].offset:
            yield MISPLACED, f"told {told}, {places}"
    if dealing.outcome == COMMITTED and len(there) < len(dealing.records):
        yield (TORN if there else LOST), f"{len(there)} are there"
    elif dealing.outcome == UNKNOWN and there and len(there) < len(dealing.records):
        yield TORN, f"{len(there)} are there"
    elif dealing.outcome not in (COMMITTED, UNKNOWN) and there:
        yield GHOST, f"{len(there)} are there"


def _ordered(seen: Sequence[Seen]) -> Iterable[Violation]:
    logs: Mapping[tuple[str, int, int], list[Seen]] = defaultdict(list)
    for each in seen:
        logs[each.topic, each.partition, each.owner].append(each)
    for log in logs.values():
        log.sort(key=lambda each: each.offset)
        for before, after in pairwise(log):
            if (before.number, before.position) > (after.number, after.position):
                yield Violation(DISORDERED, None, f"{after} behind {before}")
