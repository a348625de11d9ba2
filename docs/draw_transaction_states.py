"""Draws the life of a transactional producer into transaction-states.svg: what is in the page is the table
that the code goes by (`klife.actors.transactions.state.TRANSITIONS`).

    python -m docs.draw_transaction_states     # after a change of the table; a test says when that is

Where a box stands is chosen here, and so is how the two events are drawn that lead to one state from many:
over the boxes, and below them. Everything else is the table's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from klife.actors.transactions.state import OPEN, TRANSITIONS, Event, State

PICTURE = Path(__file__).with_name("transaction-states.svg")

PLACES = {
    State.UNINITIALIZED: (0, 1),
    State.INITIALIZING: (1, 1),
    State.READY: (2, 1),
    State.IN_TRANSACTION: (3, 1),
    State.COMMITTING: (4, 0),
    State.ABORTABLE_ERROR: (4, 1),
    State.ABORTING: (4, 2),
    State.FATAL_ERROR: (3, 2),
}
WIDTH, HEIGHT = 136, 44
COLUMN, ROW = 200, 92
LEFT, TOP = 14, 50
RIGHT_OF_ALL = LEFT + 4 * COLUMN + WIDTH
OVER, BELOW = 18, TOP + 2 * ROW + HEIGHT + 30
CORNER = {Event.END: RIGHT_OF_ALL + 18, Event.LOSE: RIGHT_OF_ALL + 36}
COLOR = {Event.END: "#15803d", Event.LOSE: "#b45309"}
GREY = "#4b5563"


def main(arguments: list[str]) -> None:
    path = Path(arguments[0]) if arguments else PICTURE
    path.write_text(svg())


def svg() -> str:
    """All boxes and transitions."""
    width, height = RIGHT_OF_ALL + 50, BELOW + 14
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13" role="img" aria-label="The life of a transactional producer">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *(_marker(name, color) for name, color in (("grey", GREY), ("end", COLOR[Event.END]), ("lose", COLOR[Event.LOSE]))),
        *_collected(Event.END, OVER),
        *_collected(Event.LOSE, BELOW),
        *(line for source, event, target in _plain() for line in _arrow(source, event, target)),
        *_fenced(),
        *(line for state in State for line in _box(state)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _plain() -> Iterator[tuple[State, Event, State]]:
    """What is an arrow from box to box."""
    for (source, event), target in TRANSITIONS.items():
        if event not in COLOR and event is not Event.FENCE and source is not target:
            yield source, event, target


def _corner(state: State) -> tuple[int, int]:
    column, row = PLACES[state]
    return LEFT + column * COLUMN, TOP + row * ROW


def _middle(state: State) -> tuple[float, float]:
    x, y = _corner(state)
    return x + WIDTH / 2, y + HEIGHT / 2


def _box(state: State) -> Iterator[str]:
    x, y = _corner(state)
    fill = "#dbeafe" if state in OPEN else "#fee2e2" if state is State.FATAL_ERROR else "#ffffff"
    stays = [event.value for (source, event), target in TRANSITIONS.items() if source is target is state and event is not Event.FENCE]
    below = f"{', '.join(stays)}: stays" if stays else ""
    yield f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="20" fill="{fill}" stroke="{GREY}"/>'
    yield _text(x + WIDTH / 2, y + (20 if below else 27), state.value, "#111827")
    if below:
        yield _text(x + WIDTH / 2, y + 35, below, GREY, 11)


def _arrow(source: State, event: Event, target: State) -> Iterator[str]:
    (x, y), (to_x, to_y) = _middle(source), _middle(target)
    if x == to_x:
        down = 1 if to_y > y else -1
        y, to_y = y + down * HEIGHT / 2, to_y - down * HEIGHT / 2
    else:
        x, to_x = x + WIDTH / 2, to_x - WIDTH / 2
    yield _line(f"M{x:g} {y:g} L{to_x:g} {to_y:g}", "grey", GREY)
    aside, up = (24, -4) if x == to_x else (0, 7) if y == to_y else (-28, 0)
    yield _text((x + to_x) / 2 + aside, (y + to_y) / 2 - up, event.value, GREY, 12)


def _collected(event: Event, height: int) -> Iterator[str]:
    """The transitions of an event that leads to one state from many, on one line at `height`."""
    (target,) = {target for (_, other), target in TRANSITIONS.items() if other is event}
    name, color, corner = event.value, COLOR[event], CORNER[event]
    to_x = _middle(target)[0] + (14 if event is Event.LOSE else 0)
    to_y = _corner(target)[1] + (HEIGHT if height > TOP else 0)
    sources = [source for (source, other) in TRANSITIONS if other is event]
    furthest = max(corner if PLACES[source][0] == 4 else _middle(source)[0] for source in sources)
    yield _line(f"M{furthest:g} {height} H{to_x:g} V{to_y:g}", name, color)
    for source in sources:
        x, y = _middle(source)
        if PLACES[source][0] == 4:
            side = y + (-8 if event is Event.END else 8)
            yield _line(f"M{x + WIDTH / 2:g} {side:g} H{corner} V{height}", None, color)
        else:
            yield _line(f"M{x:g} {y:g} V{height}", None, color)
    yield _text(to_x + (34 if event is Event.END else 30), height + (-5 if event is Event.END else 13), name, color, 12)


def _fenced() -> Iterator[str]:
    assert {(state, Event.FENCE) for state in State} <= set(TRANSITIONS), "drawn as from every state"
    x, y = _middle(State.FATAL_ERROR)
    yield _line(f"M{x - WIDTH / 2 - 100:g} {y:g} H{x - WIDTH / 2:g}", "grey", GREY)
    yield _text(x - WIDTH / 2 - 52, y - 7, "fence, from any", GREY, 12)


def _marker(name: str, color: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{color}"/></marker>'
    )


def _line(way: str, marker: str | None, color: str) -> str:
    end = f' marker-end="url(#{marker})"' if marker else ""
    return f'<path d="{way}" fill="none" stroke="{color}"{end}/>'


def _text(x: float, y: float, text: str, color: str, size: int = 13) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle" fill="{color}" font-size="{size}">{text}</text>'


if __name__ == "__main__":
    main(sys.argv[1:])
