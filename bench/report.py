"""A result as Markdown: the bars, a table for each scenario and figure, and what it was all measured on and
with.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from bench import bars, goals
from bench.bars import Bar
from bench.contestants import OURS
from bench.figures import FIGURES, Figure
from bench.page import aligned
from bench.results import Place, Result, failed, median_of, places, ratio, samples_of
from bench.scenarios import SCENARIOS, TARGET_TITLES, Scenario
from bench.workload import Workload


def markdown(result: Result, judged: Sequence[Bar] = goals.BARS) -> str:
    """The whole report, with the bars that are `judged`."""
    parts = ["## Bars", bars.table(result, judged), "## Figures", tables(result), failures(result)]
    return "\n\n".join([*parts, "## Measured on", conditions(result), settings(result)])


def conditions(result: Result) -> str:
    """When, on what machine, with what versions, how often and how long."""
    versions = {name: number for entry in result["contestants"].values() for name, number in entry["versions"].items()}
    facts = result["runs"][0]["machine"]
    lines = [
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory']}, {facts['system']}, {facts['python']}; "
        f"{', '.join(f'{name} {number}' for name, number in versions.items())}. Real brokers: Kafka {facts['kafka']}, {facts['java']}.",
        "",
    ]
    lines += [
        f"- Run {number + 1}: {run['taken_at']}, {run['rounds']} interleaved rounds, each measurement {run['seconds']:g} s after "
        f"{run['warmup_s']:g} s of warm-up; load average before: {run['machine']['load_before']}{_meanwhile(result, number)}."
        for number, run in enumerate(result["runs"])
    ]
    return "\n".join(lines)


def _meanwhile(result: Result, run: int) -> str:
    """The load during a run, ours included, and what others took, which makes figures doubtful."""
    samples = [sample for sample in result["samples"] if sample["run"] == run]
    loads = [sample["load"] for sample in samples if sample.get("load") is not None]
    others = [sample["others"] for sample in samples if sample.get("others") is not None]
    said = f"; during it, with the run's own: {median(loads):.1f}, at most {max(loads):.1f}" if loads else ""
    return said + (f"; others took {median(others):.2f} cores, at most {max(others):.2f}" if others else "")


def settings(result: Result) -> str:
    """Each contestant's settings and driving."""
    lines = []
    for name, entry in result["contestants"].items():
        build = {None: "", True: "Compiled core. ", False: "Pure Python. "}[entry["compiled"]]
        options = ", ".join(f"`{option}={value}`" for option, value in entry["settings"].items())
        lines.append(f"- **{name}**: {build}{f'{options}. ' if options else ''}{entry['driven']}")
    return "\n".join(lines)


def failures(result: Result) -> str:
    """What failed, a line each, or that nothing did."""
    if not result["failures"]:
        return f"No measurement of {len(result['samples'])} failed: the logs grew by what was sent and reported, each time."
    lines = [
        f"- run {entry['run'] + 1}, round {entry['round'] + 1}, {entry['target']}, {Workload(**entry['workload']).name}, "
        f"{entry['contestant']}: {entry['error'].splitlines()[0]}"
        for entry in result["failures"]
    ]
    return "\n".join([f"Of {len(result['samples']) + len(lines)} measurements {len(lines)} failed:", "", *lines])


def tables(result: Result) -> str:
    """All scenarios that were measured."""
    each = [(scenario, table_of(result, scenario.name)) for scenario in SCENARIOS.values()]
    return "\n\n".join(f"### {scenario.title}\n\n{scenario.about}\n\n{table}" for scenario, table in each if table)


def table_of(result: Result, name: str) -> str:
    """The tables of a scenario, one for each figure; empty where it was not measured."""
    here = [place for place in places(result) if place[1].scenario == name]
    return "\n\n".join(_table(result, SCENARIOS[name], here, figure) for figure in SCENARIOS[name].figures if here)


def _table(result: Result, scenario: Scenario, here: list[Place], figure_name: str) -> str:
    figure = FIGURES[figure_name]
    names = [name for name in scenario.contestants if name in result["contestants"]]
    peers = [name for name in names if name not in OURS]
    compared = "klife" in names and bool(peers)
    rows = [[figure.title(here[0][1].unit), "", *names, *(["klife is × best peer"] if compared else [])]]
    for place in here:
        row = [TARGET_TITLES[place[0]], place[1].case, *(_cell(result, place, name, figure) for name in names)]
        if compared:
            row.append(_against_best(result, place, peers, figure))
        rows.append(row)
    return aligned(rows, names=2)


def _cell(result: Result, place: Place, contestant: str, figure: Figure) -> str:
    samples = samples_of(result, place, contestant)
    if not samples:
        return "failed" if failed(result, place, contestant) else ""
    first, *others = zip(*map(figure.values, samples), strict=True)
    beside = "; ".join(f"{median(values):,.{figure.digits}f}" for values in others)
    return spread(list(first), figure.digits) + (f" [{beside}]" if beside else "")


def spread(values: list[float], digits: int) -> str:
    """The median, and the range where there is more than one."""
    text = f"{median(values):,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _against_best(result: Result, place: Place, peers: list[str], figure: Figure) -> str:
    medians = {name: median_of(samples, figure.value) for name in peers if (samples := samples_of(result, place, name))}
    if not medians:
        return ""
    best = (max if figure.more_is_better else min)(medians, key=lambda name: medians[name])
    times = ratio(result, place, figure.value, "klife", best)
    return "" if times is None else f"{times:.2f}"
