"""`python -m tests.chaos`: run seeds, print what they came to; the exit status is 1 if a promise was broken, or
a run came to nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.report import full_report, headline
from tests.chaos.run import World


def seeds(text: str) -> list[int]:
    """`7` or `1-20`."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Faults at random, and a check of every record.")
    parser.add_argument("--seed", type=seeds, required=True, help="what everything is drawn from; 1-20 runs one after the other")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long each runs (default: 1)")
    parser.add_argument("--folder", type=Path, help="where journals and reports go (default: a new one)")
    parser.add_argument("--kafka", metavar="VERSION", help="the brokers' version; 3.9 has transactions v1 (default: the newest tried)")
    parser.add_argument(
        "--transactions", metavar="1|2", type=int, choices=(1, 2), help="the transaction.version of 4.0 and newer (default: 2)"
    )
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="klife-chaos-"))
    failed = 0
    with World.up(arguments.kafka, transactions=arguments.transactions) as world:
        for seed in arguments.seed:
            outcome = world.run(seed, arguments.minutes, folder / f"seed-{seed}")
            report = full_report(outcome)
            (outcome.folder / "report.txt").write_text(report + "\n")
            print(report if outcome.violations else headline(outcome), flush=True)
            failed += bool(outcome.violations or outcome.missing)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
