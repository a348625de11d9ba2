"""What a run came to, in words: a line of figures, and for a violation the record's history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.chaos.check import Violation
from tests.chaos.journal import DELIVERED, Entry

if TYPE_CHECKING:
    from tests.chaos.run import Outcome

SHOWN = 5
MOST_EVENTS = 60
NEIGHBOURS = 6
BEFORE_SECONDS, AFTER_SECONDS = 2.0, 1.0


def headline(outcome: Outcome) -> str:
    """One line: the seed, what came of the records, and the figures."""
    summary, counts = outcome.summary, dict(sorted(outcome.counts.items()))
    verdict = f"EMPTY, no {' and no '.join(outcome.missing)}" if outcome.missing else "ok"
    verdict = f"{len(outcome.violations)} VIOLATIONS" if outcome.violations else verdict
    gaps = ""
    if summary:
        gaps = (
            f"; hub gap {summary['ticker']['p999']}/{summary['ticker']['max']} ms (control {outcome.control['p999']}/"
            f"{outcome.control['max']}), of which held {summary['ticker']['held_p999']}/{summary['ticker']['held_max']}, "
            f"computed {summary['ticker']['computed_p999']}/{summary['ticker']['computed_max']}, "
            f"{summary['restarts']} actors restarted, {summary['retries']} retries, "
            f"buffer <= {summary['max_buffered_bytes']}, resident +{summary['resident_growth'] / 1e6:.0f} MB"
        )
    faults = sum(map(len, outcome.plan.faults))
    longest = max((entry.settled - entry.called for entry in outcome.entries if entry.outcome == DELIVERED), default=0.0)
    full = sum(entry.error.startswith("BufferFull") for entry in outcome.entries)
    return (
        f"seed {outcome.plan.seed}, {outcome.plan.seconds:g} s: {verdict}; {faults} faults; {counts}, "
        f"longest delivery {longest:.1f} s, {full} refused for a full buffer{gaps}"
    )


def full_report(outcome: Outcome) -> str:
    """The headline, the plan, and the histories of the first violations of each kind."""
    begin_at = outcome.notes[0][0] if outcome.notes else 0.0
    lines = [headline(outcome), str(outcome.plan)]
    lines += [f"  done at {at:.3f} ({at - begin_at:+.1f} s): {text}" for at, text in outcome.notes]
    shown: dict[str, int] = {}
    for violation in outcome.violations:
        shown[violation.kind] = shown.get(violation.kind, 0) + 1
        if shown[violation.kind] <= SHOWN:
            lines += _history(outcome, violation)
    lines += [f"{count} x {kind}" for kind, count in shown.items()]
    if outcome.violations:
        lines.append(f"again: python -m tests.chaos --seed {outcome.plan.seed} --minutes {outcome.plan.seconds / 60:g}")
        lines.append(f"journal and events are in {outcome.folder}")
    return "\n".join(lines)


def _history(outcome: Outcome, violation: Violation) -> Iterator[str]:
    yield f"VIOLATION {violation.kind}: {violation.detail}"
    entry = next((each for each in outcome.entries if each.name == violation.name), None)
    if entry is None:
        return
    yield f"  {entry}"
    for each in outcome.found:
        if each.name == entry.name:
            yield f"  in the log: {each}"
            batches = outcome.headers.get((each.topic, each.partition), [])
            here = next((index for index, batch in enumerate(batches) if each.offset < batch.base_offset + batch.records), 0)
            for index in range(max(here - NEIGHBOURS, 0), min(here + NEIGHBOURS + 1, len(batches))):
                yield f"    {'>' if index == here else ' '} {batches[index]}"
    begin, end = entry.called - BEFORE_SECONDS, (entry.settled or entry.returned) + AFTER_SECONDS
    for at, text in outcome.notes:
        if begin - 5.0 <= at <= end:
            yield f"  {at:.3f} fault: {text}"
    yield from _events(outcome, entry, begin, end)


def _events(outcome: Outcome, entry: Entry, begin: float, end: float) -> Iterator[str]:
    """What the client logged meanwhile that concerns the record's partition, or none in particular."""
    path = outcome.folder / "events.jsonl"
    shown = 0
    for line in path.read_text().splitlines() if path.exists() else ():
        event = json.loads(line)
        if not begin <= event["at"] <= end:
            continue
        if event.get("topic", entry.topic) != entry.topic or event.get("partition", entry.partition) != entry.partition:
            continue
        shown += 1
        if shown <= MOST_EVENTS:
            yield f"  client: {line[:300]}"
