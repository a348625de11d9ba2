"""Draws the supervision tree of a running client into client-tree.svg: what is in the page is what the code
builds.

    python -m docs.draw_client_tree            # after a change of the tree; a test says when that is

The client runs on librdkafka's mock cluster, so that it has connections and batchers. What a dynamic
supervisor has one of for each broker is drawn once, as a stack: how many there are says nothing about the
tree.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from bench.mock_cluster import MockCluster
from klife import Client, Record
from klife_supervision import DynamicSupervisor, Supervisor, whereis

PICTURE = Path(__file__).with_name("client-tree.svg")

BOX_WIDTH, BOX_HEIGHT = 220, 42
COLUMN_WIDTH, ROW_HEIGHT = 250, 56
MARGIN = 12


@dataclass
class Box:
    """A supervisor or an actor, in the column of its depth; `row` is a position between rows for one with
    several children.
    """

    title: str
    below: str
    is_supervisor: bool
    is_stack: bool
    children: list[Box]
    column: int = 0
    row: float = 0.0


def main(arguments: list[str]) -> None:
    path = Path(arguments[0]) if arguments else PICTURE
    path.write_text(svg(client_tree()))


def client_tree() -> Box:
    """The tree of a client that has just delivered a record."""
    with MockCluster(["orders"], partitions=3) as mock, Client.start(mock.bootstrap_servers, name="NAME") as client:
        client.produce(Record(topic="orders", value=b"one coffee")).get(timeout=30)
        supervisor = whereis(client.tree().id)
        return Box(str(client.tree().id), _what_it_is(supervisor), True, False, _children(supervisor))


def _children(supervisor: Any) -> list[Box]:
    if isinstance(supervisor, DynamicSupervisor):
        kinds: dict[str, list[str]] = {}
        for info in supervisor.which_children():
            kinds.setdefault(_what_it_is(info.child), []).append(str(info.id).split()[0])
        return [Box(", ".join(sorted(set(ids))), kind, False, True, []) for kind, ids in kinds.items()]
    return [
        Box(
            str(info.id),
            _what_it_is(info.child),
            info.type == "supervisor",
            False,
            _children(info.child) if info.type == "supervisor" else [],
        )
        for info in supervisor.which_children()
    ]


def _what_it_is(child: Any) -> str:
    if isinstance(child, DynamicSupervisor):
        return "supervisor, dynamic"
    if isinstance(child, Supervisor):
        return f"supervisor, {child.strategy}"
    return str(child.actor_class.__name__)


def svg(tree: Box) -> str:
    """The tree from left to right, children in the order in which they are started."""
    rows = _place(tree, 0, 0)
    boxes = list(_walk(tree))
    width = 2 * MARGIN + max(box.column for box in boxes) * COLUMN_WIDTH + BOX_WIDTH + 8
    height = 2 * MARGIN + (rows - 1) * ROW_HEIGHT + BOX_HEIGHT + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13" role="img" aria-label="The supervision tree of a client">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *(_line(box, child) for box in boxes for child in box.children),
        *(line for box in boxes for line in _drawn(box)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _place(box: Box, column: int, row: int) -> int:
    """Give the box and all below it their places, from `row` on; the first row that is free below them."""
    box.column = column
    if not box.children:
        box.row = row
        return row + 1
    for child in box.children:
        row = _place(child, column + 1, row)
    box.row = (box.children[0].row + box.children[-1].row) / 2
    return row


def _walk(box: Box) -> Iterator[Box]:
    yield box
    for child in box.children:
        yield from _walk(child)


def _drawn(box: Box) -> Iterator[str]:
    x, y = _corner(box)
    # Supervisors are square and actors round, as OTP draws them.
    look = 'rx="2" fill="#dbeafe" stroke="#1d4ed8"' if box.is_supervisor else 'rx="20" fill="#ffffff" stroke="#4b5563"'
    for shift in (8, 4, 0) if box.is_stack else (0,):
        yield f'<rect x="{x + shift:g}" y="{y + shift:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" {look}/>'
    middle = x + BOX_WIDTH / 2
    yield f'<text x="{middle:g}" y="{y + 18:g}" text-anchor="middle" fill="#111827">{escape(box.title)}</text>'
    yield f'<text x="{middle:g}" y="{y + 33:g}" text-anchor="middle" fill="#4b5563" font-size="11">{escape(box.below)}</text>'


def _line(box: Box, child: Box) -> str:
    x, y = _corner(box)
    child_x, child_y = _corner(child)
    between = (x + BOX_WIDTH + child_x) / 2
    way = f"M{x + BOX_WIDTH:g} {y + BOX_HEIGHT / 2:g} H{between:g} V{child_y + BOX_HEIGHT / 2:g} H{child_x:g}"
    return f'<path d="{way}" fill="none" stroke="#6b7280"/>'


def _corner(box: Box) -> tuple[float, float]:
    return MARGIN + box.column * COLUMN_WIDTH, MARGIN + box.row * ROW_HEIGHT


if __name__ == "__main__":
    main(sys.argv[1:])
