"""The results as one SVG: a row of panels for each target, a bar for each contestant, medians with their ranges."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from bench.report import TARGET_TITLES, Figure, Result, cases, contestants, cpu_us, rate, samples_of
from bench.workload import Workload

_COLOURS = ("#0b6e4f", "#d1495b", "#edae49", "#8d99ae", "#30638e", "#7d5ba6")


def write_svg(result: Result, path: Path) -> None:
    """Draw `result` to `path`."""
    # Text stays text, and the same result gives the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench"})
    by_panel: dict[tuple[str, str], list[Workload]] = {}
    for target, workload in cases(result):
        by_panel.setdefault((target, workload.mode), []).append(workload)
    panels: list[tuple[str, str, Figure, list[Workload]]] = []
    for (target, mode), workloads in by_panel.items():
        unit = workloads[0].unit
        panels.append((target, f"{mode}: {unit}/s", rate, workloads))
        panels.append((target, f"{mode}: client CPU µs per {unit[:-1]}", cpu_us, workloads))
    columns = max(sum(panel[0] == target for panel in panels) for target in {panel[0] for panel in panels})
    rows = len(panels) // columns
    canvas = Canvas(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    axes = canvas.subplots(rows, columns, squeeze=False)
    for axis, (target, title, figure, workloads) in zip(axes.flat, panels, strict=True):
        _draw(axis, result, target, figure, workloads)
        axis.set_title(f"{TARGET_TITLES[target]}\n{title}", fontsize=10)
    handles, labels = axes[0][0].get_legend_handles_labels()
    canvas.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    canvas.savefig(path, format="svg", metadata={"Date": None})


def _draw(axis: Axes, result: Result, target: str, figure: Figure, workloads: list[Workload]) -> None:
    names = contestants(result)
    width = 0.8 / len(names)
    for index, name in enumerate(names):
        # What failed has a bar of no height.
        values = [[figure(sample) for sample in samples_of(result, target, workload, name)] or [0.0] for workload in workloads]
        medians = [median(of_case) for of_case in values]
        below = [middle - min(of_case) for middle, of_case in zip(medians, values, strict=True)]
        above = [max(of_case) - middle for middle, of_case in zip(medians, values, strict=True)]
        places = [case + (index - (len(names) - 1) / 2) * width for case in range(len(workloads))]
        error_bars: dict[str, Any] = {"yerr": [below, above], "error_kw": {"elinewidth": 0.8, "capsize": 2}}
        axis.bar(places, medians, width, label=name, color=_COLOURS[index % len(_COLOURS)], **error_bars)
    axis.set_xticks(range(len(workloads)), [f"N={workload.workers}" for workload in workloads])
    axis.spines[["top", "right"]].set_visible(False)
