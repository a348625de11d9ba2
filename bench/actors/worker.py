"""A contestant's own process: its name as an argument, its samples as JSON on standard output."""

from __future__ import annotations

import json
import sys
from typing import Any

import structlog

from bench.actors.contestants import CONTESTANTS
from bench.actors.measures import MEASURES, SMALL, Scale, Stopwatch


def main(name: str, scale: Scale) -> list[dict[str, Any]]:
    contestant = CONTESTANTS[name]()
    structlog.configure(processors=[_drop])
    samples = []
    for measure, function in MEASURES.items():
        function(contestant, SMALL, Stopwatch())
        watch = Stopwatch()
        count = function(contestant, scale, watch)
        if count:
            samples.append({"contestant": name, "measure": measure, "count": count, "wall_s": watch.wall, "cpu_s": watch.cpu})
    return samples


def _drop(*_event: object) -> None:
    raise structlog.DropEvent


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], SMALL if "--smoke" in sys.argv else Scale())))
