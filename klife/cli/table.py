"""Tables of lines: aligned for the eye, and easy to cut for a script."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from klife.cli.terminal import err, out


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], nothing: str, console: Console = out) -> None:
    """A line for each row, below the headings; or `nothing`, on standard error, where there are none."""
    if not rows:
        err.print(nothing, markup=False)
        return
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        console.print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip(), markup=False)
