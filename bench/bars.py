"""What a goal is, and whether a result meets it. Each is computed from the samples of one run, by medians; the
goals themselves are in `goals.py`.

Against several peers the best of them counts; over several cases the worst of them. Beside the figure stands
its range: the same of each round, whose measurements followed each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.contestants import OURS
from bench.page import aligned
from bench.results import Place, Result, by_round, failed, median_of, ratio, samples_of
from bench.scenarios import TARGET_TITLES
from bench.workload import Workload


@dataclass(frozen=True)
class Bar:
    """A goal of the contestant `of`, at each of `places`. With `peers` the figure is the ratio to theirs, with
    `beside` that to its own at another workload, else the value itself.
    """

    title: str
    places: tuple[Place, ...]
    value: Callable[[Result], float]
    goal: float
    peers: tuple[str, ...] = ()
    beside: Workload | None = None
    more_is_better: bool = True
    of: str = "klife"

    @property
    def goal_text(self) -> str:
        return f"{'≥' if self.more_is_better else '≤'} {self.goal:g}"

    def figure(self, result: Result, place: Place) -> Figure | None:
        """What is compared with the goal; None where it, or one of the peers, was not measured, or `of` failed
        in any round.
        """
        if failed(result, place, self.of) or not all(_is_itself(result, name) for name in (self.of, *self.peers)):
            return None
        if self.beside:
            return self._ratio(result, place, self.of, (place[0], self.beside))
        if self.peers:
            ratios = [self._ratio(result, place, peer, place) for peer in self.peers]
            measured = [each for each in ratios if each is not None]
            # Otherwise the best peer may be the one that is missing.
            return self.worst(measured) if len(measured) == len(ratios) else None
        values = list(map(self.value, samples_of(result, place, self.of)))
        return Figure(median_of(samples_of(result, place, self.of), self.value), min(values), max(values)) if values else None

    def worst(self, figures: Iterable[Figure]) -> Figure:
        return (min if self.more_is_better else max)(figures, key=lambda figure: figure.value)

    def is_met_by(self, figure: Figure) -> bool:
        return figure.value >= self.goal if self.more_is_better else figure.value <= self.goal

    def _ratio(self, result: Result, place: Place, to: str, there: Place) -> Figure | None:
        whole = ratio(result, place, self.value, self.of, to, there)
        if whole is None:
            return None
        mine, theirs = by_round(result, place, self.of, self.value), by_round(result, there, to, self.value)
        rounds = [mine[each] / theirs[each] for each in mine.keys() & theirs.keys()] or [whole]
        return Figure(whole, min(rounds), max(rounds), "" if to == self.of else to)


@dataclass(frozen=True)
class Figure:
    """A bar's figure at a place, the least and the greatest of its rounds, and against whom that is."""

    value: float
    low: float
    high: float
    peer: str = ""


@dataclass(frozen=True)
class Finding:
    """A bar's figure, the worst of its places. `missing` are the places not measured."""

    figure: Figure | None
    where: str
    missing: tuple[str, ...]
    met: bool


def finding(bar: Bar, result: Result) -> Finding:
    figures = {place: bar.figure(result, place) for place in bar.places}
    measured = {place: figure for place, figure in figures.items() if figure is not None}
    missing = tuple(_named(bar, place) for place in figures if place not in measured)
    if not measured:
        return Finding(None, "", missing, met=False)
    worst = bar.worst(measured.values())
    where = next(_named(bar, place) for place, figure in measured.items() if figure is worst)
    return Finding(worst, where if len(figures) > 1 else "", missing, met=bar.is_met_by(worst) and not missing)


def table(result: Result, bars: Sequence[Bar]) -> str:
    """The bars, what was measured, and whether they are met, as Markdown."""
    return aligned([["bar", "goal", "measured", "of its rounds", "met?"], *(_row(bar, finding(bar, result)) for bar in bars)], names=1)


def _row(bar: Bar, found: Finding) -> list[str]:
    if found.figure is None:
        return [bar.title, bar.goal_text, "", "", "not measured"]
    figure = found.figure
    said = ", ".join(each for each in (found.where, figure.peer if len(bar.peers) > 1 else "") if each)
    missing = len(found.missing)
    met = f"not measured: {missing} of {len(bar.places)}" if missing else "yes" if found.met else "**no**"
    return [bar.title, bar.goal_text, f"{figure.value:.2f}{f' ({said})' if said else ''}", f"{figure.low:.2f}-{figure.high:.2f}", met]


def _named(bar: Bar, place: Place) -> str:
    """The case, with what tells it from the bar's others."""
    target, workload = place
    parts = [workload.case]
    if len({each.scenario for _, each in bar.places}) > 1:
        parts.insert(0, workload.scenario)
    if len({each for each, _ in bar.places}) > 1:
        parts.append(TARGET_TITLES[target])
    return ", ".join(parts)


def _is_itself(result: Result, name: str) -> bool:
    """An uncompiled klife says nothing of the compiled one."""
    return name not in OURS or result["contestants"].get(name, {}).get("compiled") is (name != "klife-pure")
