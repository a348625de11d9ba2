"""How figures get onto a page: aligned tables, and the section of a README that is written by the program
that measured.
"""

from __future__ import annotations

from pathlib import Path


def replace_figures(page: Path, figures: str, section: str = "figures") -> None:
    """Put `figures` in the place of what is between the two markers of the page's section.

    Raises:
        ValueError: the page has no such section.
    """
    begins, ends = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    head, begin, rest = page.read_text().partition(begins)
    _, end, tail = rest.partition(ends)
    if not begin or not end:
        raise ValueError(f"{page} has no section between the lines {begins} and {ends}")
    page.write_text(f"{head}{begin}\n\n{figures}\n\n{end}{tail}")


def aligned(rows: list[list[str]], names: int) -> str:
    """A Markdown table that reads as well on a terminal; the first `names` columns are names, the others
    numbers.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(cells: list[str]) -> str:
        padded = [
            cell.ljust(width) if i < names else cell.rjust(width) for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (width + 1) + ("-" if i < names else ":") for i, width in enumerate(widths)) + "|"
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])
