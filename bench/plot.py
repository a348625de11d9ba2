"""Results as SVG: for each scenario its first figure, a panel for each cluster, a bar for each contestant,
medians with ranges. A picture says what it shows: the unit, which way is better, how often it was measured.

Drawn by hand, because a picture of some forty bars should be some forty lines: it lies in the repository, and
its changes are read. It has no ground of its own, and its colours are told apart on white and on black.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import floor, log10
from pathlib import Path
from statistics import median
from textwrap import wrap
from typing import NamedTuple
from xml.sax.saxutils import escape

from bench.contestants import NAMES
from bench.figures import FIGURES, Figure
from bench.results import Place, Result, places, samples_of
from bench.scenarios import SCENARIOS, TARGET_TITLES, Scenario

_OURS = ("#1a936f", "#74b49b", "#3d8d9e", "#88a23b", "#2f6f4f")
_THEIRS = ("#d1495b", "#e38f9b", "#a85c8a", "#e0a030", "#7189b8")
_COLOURS = dict(zip(NAMES, (*_OURS, *_THEIRS), strict=True))
_PANEL_WIDTH, _PANEL_HEIGHT = 460, 180
_LEFT, _TOP, _BELOW, _LEGEND_WIDTH = 56, 62, 72, 130
_INK = "#7f858d"
_LETTER = 5.6  # of the width of one, on average


class _Bar(NamedTuple):
    contestant: str
    low: float
    middle: float
    high: float


def write_svgs(result: Result, folder: Path) -> list[Path]:
    """Draw each measured scenario to `folder`, and return the files in the order of the scenarios."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for scenario in SCENARIOS.values():
        here = [place for place in places(result) if place[1].scenario == scenario.name and _bars(result, scenario, place)]
        if here:
            path = folder / f"{scenario.name}.svg"
            path.write_text("\n".join(_picture(result, scenario, here)) + "\n")
            written.append(path)
    return written


def _picture(result: Result, scenario: Scenario, here: list[Place]) -> Iterator[str]:
    targets = list(dict.fromkeys(target for target, _ in here))
    names = [name for name in scenario.contestants if any(samples_of(result, place, name) for place in here)]
    width = 16 + max(len(targets) * (_LEFT + _PANEL_WIDTH), _LEFT + len(names) * _LEGEND_WIDTH)
    height = _TOP + _PANEL_HEIGHT + _BELOW
    figure = FIGURES[scenario.figures[0]]
    # What stands in brackets in a table is not drawn.
    drawn, _, _ = figure.title(here[0][1].unit).partition(" [")
    times = sorted({len(samples_of(result, place, name)) for place in here for name in names} - {0})
    how_often = f"{times[0]} measurements" if len(times) == 1 else f"{times[0]} to {times[-1]} measurements"
    font = f'font-family="sans-serif" font-size="11" fill="{_INK}"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {font}>'
    yield f'<text x="8" y="16" font-size="13" font-weight="bold">{escape(scenario.title)}</text>'
    said = f"{drawn}; {'higher' if figure.more_is_better else 'lower'} is better. Bars: medians of {how_often}; lines: their ranges."
    yield f'<text x="8" y="33">{escape(said)}</text>'
    for number, target in enumerate(targets):
        x = _LEFT + number * (_PANEL_WIDTH + _LEFT)
        yield f'<text x="{x}" y="{_TOP - 8}">{TARGET_TITLES[target]}</text>'
        yield from _panel(result, scenario, [place for place in here if place[0] == target], x)
    for number, name in enumerate(names):
        x = _LEFT + number * _LEGEND_WIDTH
        yield f'<rect x="{x}" y="{height - 18}" width="10" height="10" fill="{_COLOURS[name]}"/>'
        yield f'<text x="{x + 14}" y="{height - 9}">{name}</text>'
    yield "</svg>"


def _panel(result: Result, scenario: Scenario, here: list[Place], left: float) -> Iterator[str]:
    groups = [_bars(result, scenario, place) for place in here]
    top = max(bar.high for group in groups for bar in group) or 1.0
    step = _step(top)

    def y(value: float) -> float:
        return round(_TOP + _PANEL_HEIGHT * (1 - value / top), 1)

    for mark in range(int(top / step) + 1):
        line = y(mark * step)
        yield f'<path d="M{left} {line}h{_PANEL_WIDTH}" stroke="{_INK}" stroke-opacity="0.35"/>'
        yield f'<text x="{left - 4}" y="{line + 4}" text-anchor="end">{_short(mark * step)}</text>'
    room = _PANEL_WIDTH / len(groups)
    for number, (place, group) in enumerate(zip(here, groups, strict=True)):
        middle = left + room * (number + 0.5)
        wide = min(room * 0.86 / max(len(group), 1), 30)
        for index, bar in enumerate(group):
            x = round(middle + wide * (index - len(group) / 2), 1)
            height = round(_TOP + _PANEL_HEIGHT - y(bar.middle), 1)
            yield f'<rect x="{x}" y="{y(bar.middle)}" width="{wide * 0.9:.1f}" height="{height}" fill="{_COLOURS[bar.contestant]}"/>'
            # A dark line within a pale one: seen on the bar, on white and on black.
            for ink, thick in (("#eee", 3), ("#333", 1)):
                yield f'<path d="M{x + wide * 0.45:.1f} {y(bar.low)}V{y(bar.high)}" stroke="{ink}" stroke-width="{thick}"/>'
        for row, text in enumerate(wrap(place[1].case, max(6, int(room / _LETTER)))):
            yield f'<text x="{middle:.0f}" y="{_TOP + _PANEL_HEIGHT + 14 + 12 * row}" text-anchor="middle">{escape(text)}</text>'


def _bars(result: Result, scenario: Scenario, place: Place) -> list[_Bar]:
    figure: Figure = FIGURES[scenario.figures[0]]
    bars = []
    for name in scenario.contestants:
        values = [figure.value(sample) for sample in samples_of(result, place, name)]
        if values:
            bars.append(_Bar(name, min(values), median(values), max(values)))
    return bars


def _step(top: float) -> float:
    """The distance of the marks on an axis up to `top`: 1, 2 or 5 times a power of ten, for three to nine
    marks.
    """
    power: float = 10 ** floor(log10(top))
    return float(next(power * factor for factor in (0.2, 0.5, 1, 2) if top / (power * factor) <= 8))


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
