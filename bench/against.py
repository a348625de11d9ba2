"""`python -m bench --against REV`: klife of this tree beside klife of a commit, compiled and pure, and nobody
else (at a given rate also with a linger): whether a change made it quicker or dearer.

The two builds of a kind are measured back to back, and which goes first changes from round to round. So each
round has a ratio of its own, of the same minute of the machine; the median of these is what counts, and their
range says how far to believe it. Of processor time there is the ratio of the least too: what a busy machine
does besides only ever adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench import builds
from bench.builds import Build
from bench.figures import FIGURES, Figure
from bench.page import aligned
from bench.report import conditions, failures, spread
from bench.results import Place, Result, failed, places, samples_of
from bench.runner import Plan
from bench.scenarios import SCENARIOS, TARGET_TITLES, Case, Scenario

KINDS = {"klife": "compiled", "klife-pure": "pure", "klife-linger": "compiled, linger 5 ms"}
# Where a scenario does not name them: what a change of the client is looked at for.
_ALWAYS = ("rate", "cpu")
_BROKER_WARMUP_S = 60
_WARMUP_S = 0.5


def plan(revision: str, cases: Sequence[Case], rounds: int, seconds: float, say: Callable[[str], None]) -> Plan:
    """These cases with klife's builds only, each beside the same of that commit, which is built now if it was
    not before.

    Raises:
        BuildFailed: there is no such commit, or it or this tree cannot be built.
    """
    say("building this tree and the commit, unless that was done before: a minute or two")
    mine = builds.of_tree()
    theirs = builds.of_commit(revision, like=mine)
    pairs = [replace(case, contestants=(name, f"{name}@{theirs.name}")) for case in cases for name in case.contestants if name in KINDS]
    return Plan(pairs, rounds, seconds, _WARMUP_S, _BROKER_WARMUP_S, _folders(mine, theirs))


def _folders(mine: Build, theirs: Build) -> dict[str, Path]:
    return dict.fromkeys(KINDS, mine.folder) | {f"{name}@{theirs.name}": theirs.folder for name in KINDS}


def markdown(result: Result) -> str:
    """A table for each scenario and figure, and what it was measured on."""
    parts = []
    for scenario in SCENARIOS.values():
        here = [place for place in places(result) if place[1].scenario == scenario.name]
        if here:
            parts += [f"### {scenario.title}", *(_table(result, here, name) for name in _figures(scenario))]
    return "\n\n".join([*parts, failures(result), conditions(result)])


def _figures(scenario: Scenario) -> list[str]:
    return list(dict.fromkeys((*scenario.figures, *_ALWAYS)))


def _table(result: Result, here: list[Place], name: str) -> str:
    figure = FIGURES[name]
    revision = next(entry.partition("@")[2] for entry in result["contestants"] if "@" in entry)
    better = "more" if figure.more_is_better else "less"
    header = [figure.title(here[0][1].unit), "", "build", revision, "this tree", f"tree ÷ {revision}", "range", f"{better} is better"]
    rows = [header, *(_row(result, place, kind, revision, figure) for place in here for kind in KINDS)]
    return aligned([row for row in rows if any(row[3:5])], names=3)


def _row(result: Result, place: Place, kind: str, revision: str, figure: Figure) -> list[str]:
    before, now = (samples_of(result, place, name) for name in (f"{kind}@{revision}", kind))
    row = [TARGET_TITLES[place[0]], place[1].case, KINDS[kind]]
    if not before or not now:
        return [*row, *("failed" if failed(result, place, name) else "" for name in (f"{kind}@{revision}", kind)), "", "", ""]
    values = [[figure.value(sample) for sample in samples] for samples in (before, now)]
    row += [spread(each, figure.digits) for each in values]
    earlier = {sample["round"]: figure.value(sample) for sample in before}
    ratios = [figure.value(sample) / earlier[sample["round"]] for sample in now if earlier.get(sample["round"])]
    if not ratios:
        return [*row, "", "", ""]
    best = max if figure.more_is_better else min
    return [*row, f"{median(ratios):.3f}", f"{min(ratios):.2f}-{max(ratios):.2f}", f"best {best(values[1]) / best(values[0]):.3f}"]
