"""A result into the documentation: the page with the bars and pictures, the page with all tables, and the
result itself.
"""

from __future__ import annotations

from pathlib import Path

from bench import bars, goals, plot, report, results
from bench.page import replace_figures
from bench.results import Result
from bench.scenarios import SCENARIOS


def publish(result: Result, docs: Path) -> None:
    """Replace the marked sections of `benchmarks.md` and `benchmark-tables.md` in `docs`, and the files in
    `docs/benchmarks`. That on workers is left as it is where they were not measured.

    Raises:
        ValueError: a page has no such section.
    """
    folder = docs / "benchmarks"
    pictures = plot.write_svgs(result, folder)
    results.write(result, folder / "result.json")
    shown = "\n\n".join(f"![{SCENARIOS[path.stem].title}]({folder.name}/{path.name})" for path in pictures)
    page = docs / "benchmarks.md"
    replace_figures(page, bars.table(result, goals.BARS), "bars")
    if workers := report.table_of(result, "workers"):
        replace_figures(page, workers, "workers")
    parts = ["## Pictures", shown, "## Measured on", report.conditions(result), report.failures(result)]
    replace_figures(page, "\n\n".join([*parts, "## Settings", report.settings(result)]))
    replace_figures(docs / "benchmark-tables.md", report.tables(result).replace("### ", "## "))
