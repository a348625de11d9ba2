"""Run the tests on both builds of klife at the same time, with the compiled core and without it (see klife/core.py):

    python tests/both_builds.py [what pytest shall be told]

Each build has a pytest of its own, with its own Kafka clusters: two cores are two suites' worth, and much of a suite is waiting. Each
line says whose it is; both summaries come again at the end. The exit status is 0 when neither build failed.

Tests that run nothing of klife's, or nothing that is compiled, would only be repeated: they run with one of the builds. And the
minutes of chaos are shared out (tests/testing/test_chaos_runs.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from pathlib import Path
from threading import Thread

ROOT = Path(__file__).parent.parent
BUILDS = {"compiled": "0", "pure": "1"}  # and what KLIFE_PURE is for them
# Shared out so that both take about as long.
WITH_ONE_BUILD = {
    "compiled": [
        "tests/supervision",  # klife_supervision, which imports nothing of klife's: import-linter sees to that
        "tests/test_core.py",  # runs programs in both builds by itself
        "tests/test_abuse.py",  # so does this
        "tests/test_packaging.py",
        "tests/test_readme.py",
        "tests/docs/test_links_and_names.py",
        "tests/docs/test_options_table.py",
        "tests/versions",  # a program of its own
        "tests/typed",  # other programs read the sources
        "tests/bench",  # each contestant is a process of its own; one of them is klife without its compiled core
        "tests/testing/test_cli_cluster.py",
        "tests/testing/test_cluster_processes.py",
        "tests/testing/test_jars.py",
        # Messages: declarations, and what is generated from them.
        "tests/protocol/test_apis.py",
        "tests/protocol/test_compiler.py",
        "tests/protocol/test_error_codes.py",
        "tests/protocol/test_fuzz.py",
        "tests/protocol/test_kafka_definitions.py",
        "tests/protocol/test_schema_covers_kafka.py",
        "tests/protocol/test_versions.py",
    ],
    "pure": [
        "tests/testing/test_cluster.py",  # brokers as processes
        "tests/testing/test_old_clusters.py",
    ],
}
# Brokers that live for a minute, or are killed in it: the JVM's optimising compiler would take half of the machine.
BROKERS = {"KAFKA_JVM_PERFORMANCE_OPTS": "-XX:TieredStopAtLevel=1"}
SUMMARY = "short test summary info"
LAST_LINES = 20


class Suite:
    """One build's tests, running. `summary` is what they end with: pytest's own, or whatever came last."""

    def __init__(self, build: str, arguments: list[str]) -> None:
        self.build = build
        self.summary: deque[str] = deque(maxlen=LAST_LINES)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "--durations=15", "-o", f"cache_dir=.pytest_cache/{build}", *arguments],
            cwd=ROOT,
            env={**BROKERS, **os.environ, "KLIFE_PURE": BUILDS[build], "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._printer = Thread(target=self._print)
        self._printer.start()

    def _print(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if SUMMARY in line:
                self.summary = deque()
            self.summary.append(line)
            print(f"[{self.build}] {line}", end="", flush=True)

    def wait(self) -> int:
        """The exit status, when all is printed."""
        self._printer.join()
        return self._process.wait()


def main(arguments: list[str]) -> int:
    elsewhere = {"compiled": WITH_ONE_BUILD["pure"], "pure": WITH_ONE_BUILD["compiled"]}
    suites = [Suite(build, [*(f"--ignore={path}" for path in elsewhere[build]), *arguments]) for build in BUILDS]
    statuses = [suite.wait() for suite in suites]
    for suite, status in zip(suites, statuses, strict=True):
        outcome = f"FAILED (exit status {status})" if status else "passed"
        last = list(suite.summary) if status else list(suite.summary)[-1:]
        print(f"\nThe {suite.build} build {outcome}:\n{''.join(last)}", end="", flush=True)
    return 1 if any(statuses) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
