"""What came out, as Markdown, and its place on a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.page import aligned, replace_figures

MAX_REASON = 240


@dataclass
class Outcome:
    """What became of the uses on one version: by name, an error or None. One that is missing was not run, for
    `problem`.
    """

    version: str
    errors: dict[str, str | None] = field(default_factory=dict)
    problem: str = ""

    def failure(self, use: str) -> str | None:
        """Why this use did not pass, or None."""
        return self.errors.get(use, f"not run: {self.problem}")


def markdown(titles: dict[str, str], outcomes: list[Outcome], conditions: str) -> str:
    """A row for each use, by its name and title, and a column for each version; below, why anything failed."""
    numbers = {use: str(number) for number, use in enumerate(titles, start=1)}
    rows = [["", "use", *(outcome.version for outcome in outcomes)]]
    rows += [
        [numbers[use], title, *("passed" if outcome.failure(use) is None else "**failed**" for outcome in outcomes)]
        for use, title in titles.items()
    ]
    failures = [
        f"- {outcome.version}, use {numbers[use]}: {_shortened(reason)}"
        for outcome in outcomes
        for use in titles
        if (reason := outcome.failure(use)) is not None
    ]
    count = len(titles) * len(outcomes)
    summary = f"All {count} passed." if not failures else f"Of {count}, {len(failures)} failed:\n\n" + "\n".join(failures)
    return "\n\n".join([conditions, aligned(rows, len(rows[0])), summary])


def write(page: Path, figures: str) -> None:
    """Put the table in its place on the page, instead of the one that was there."""
    replace_figures(page, figures)


def _shortened(reason: str) -> str:
    # On a page a newline ends the item, and a < begins a tag.
    text = " ".join(reason.replace("<", "&lt;").split())
    return text if len(text) <= MAX_REASON else text[: MAX_REASON - 4] + " ..."
