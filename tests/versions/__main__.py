"""All uses on all versions, a table of what passed, and its place in docs/reliability.md:

    python -m tests.versions                            # what `make versions` runs: some six minutes, at most
    fifteen python -m tests.versions --version 2.4.1 --use made_anew --use throttled

A run of everything is written into the page, whatever came out. The exit status is 0 when all of it passed.
Each version is a process of its own, which is killed when its time is over; its brokers and their folder go
with it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import klife
from klife.testing.cluster import ClusterError
from klife.testing.jars import TRIED, kafka_jars
from tests.both_builds import OPTIONS, OPTIONS_VARIABLE
from tests.versions.table import Outcome, markdown, write
from tests.versions.worker import USES

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "reliability.md"
VERSION_SECONDS = 90.0
TITLES = {use.__name__: (use.__doc__ or "") for use in USES}


def run_version(version: str, uses: list[str], log: Path) -> Outcome:
    """Run the uses on one version, each told as it ends; tracebacks and warnings go to `log`. No process is
    left behind.
    """
    outcome = Outcome(version)
    try:
        kafka_jars(version)  # Maven's time is not the version's
    except ClusterError as error:
        outcome.problem = str(error)
        return outcome
    with log.open("w") as errors:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.versions.worker", version, *uses],
            cwd=ROOT,
            env={OPTIONS_VARIABLE: OPTIONS, **os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    out_of_time = Timer(VERSION_SECONDS, os.killpg, (worker.pid, signal.SIGKILL))
    out_of_time.start()
    try:
        assert worker.stdout is not None
        for line in worker.stdout:
            told = json.loads(line)
            outcome.errors[told["use"]] = told["error"]
            print(f"{version}  {told['seconds']:5.1f} s  {told['use']}: {told['error'] or 'passed'}", flush=True)
        status = worker.wait()
    finally:
        out_of_time.cancel()
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
    if status == -signal.SIGKILL:
        outcome.problem = f"the {VERSION_SECONDS:g} s of a version were over"
    elif status:
        outcome.problem = f"the program ended with status {status}"
    return outcome


def conditions() -> str:
    """When, with what, on what."""
    build = "compiled core" if klife.compiled else "pure Python"
    what = f"klife {klife.__version__} ({build}), CPython {platform.python_version()}, {os.cpu_count()} processors"
    return f"{datetime.now(UTC):%Y-%m-%d}, {what}. Three brokers each; before Kafka 3.3 with ZooKeeper."


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.versions")
    parser.add_argument("--version", action="append", help="a version of Kafka; all that were tried, if none is named")
    parser.add_argument("--use", action="append", choices=TITLES, help="a use; all, if none is named")
    arguments = parser.parse_args()
    uses = arguments.use or list(TITLES)
    logs = Path(tempfile.mkdtemp(prefix="klife-versions-"))
    outcomes = [run_version(version, uses, logs / f"{version}.log") for version in arguments.version or TRIED]
    figures = markdown({use: TITLES[use] for use in uses}, outcomes, conditions())
    print(f"\n{figures}")
    if not arguments.version and not arguments.use:
        write(PAGE, figures)
        print(f"\nwritten into {PAGE.relative_to(ROOT)}")
    if any(outcome.failure(use) is not None for outcome in outcomes for use in uses):
        print(f"tracebacks and warnings are in {logs}")
        return 1
    shutil.rmtree(logs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
