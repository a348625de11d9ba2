"""Run the tests on both builds of klife at the same time, with the compiled core and without it (see
klife/core.py):

    python tests/both_builds.py [what pytest shall be told]

Four pytests run beside each other: much of a suite is waiting, and two cores are four suites' worth. Two of
them run what may differ between the builds, one for each. What can not is the other two's, which have the
compiled core, as users do: `BROKERS` starts brokers of its own, and waits for them most of the time; `ONCE` does
little of that. Minutes on real brokers, `IN_ONE_BUILD`, are shared out among the suites; chaos tries both builds by
itself, on one cluster (tests/testing/test_chaos_runs.py).

The cluster of most tests, `kafka_cluster`, is one for all four (tests/support/shared_cluster.py), as a broker
takes more processor time to get warm than for the tests: so nothing may be said there of what others do on it. Those
that break brokers have clusters of their own. Within a suite those files come last that use the session's
clusters, so that no broker waits for its turn: three idle ones take a tenth of a core.

Each line says whose it is; all summaries come again at the end. The exit status is 0 when none of the four
failed.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUITES = {"compiled": "0", "pure": "1", "once": "0", "brokers": "0"}  # and what KLIFE_PURE is for them
ONCE = [
    "tests/supervision",  # klife_supervision, which imports nothing of klife's: import-linter sees to that
    # These run programs in both builds by themselves.
    "tests/test_core.py",
    "tests/test_abuse.py",
    "tests/bench",
    # Sources, packages and pages are read; the pages' programs use what the other tests test.
    "tests/test_both_builds.py",
    "tests/test_no_circle.py",
    "tests/test_packaging.py",
    "tests/test_installed.py",
    "tests/test_readme.py",
    "tests/typed",
    "tests/docs",
    "tests/examples",
    # Others' serializers; what klife does with any is tested in both builds.
    "tests/api/test_confluent_serializers.py",  # tests/api/test_serializers.py, test_first_serialisation.py
    # Metrics and traces are made of what hooks hear, which tests/actors/test_hooks.py looks at in both builds.
    "tests/api/test_dashboard.py",
    "tests/api/test_prometheus.py",
    "tests/api/test_prometheus_workers.py",
    "tests/api/test_tracing.py",
    # Helpers for users' tests, and what is around clusters; nothing of them is compiled.
    "tests/testing/test_admin_connections.py",
    "tests/testing/test_cluster_processes.py",
    "tests/testing/test_committed.py",
    "tests/testing/test_fake.py",
    "tests/testing/test_helpers.py",
    "tests/testing/test_jars.py",
    "tests/testing/test_pytest_plugin.py",
    "tests/testing/test_shared_classes.py",
    "tests/actors/test_txn_every_code.py",  # of the actors' tables, which are not compiled; a code of each kind: test_txn_answers.py
    # Programs of the tests' own.
    "tests/versions",
    "tests/testing/test_chaos_check.py",
    "tests/testing/test_chaos_plan.py",
    "tests/testing/test_chaos_proxy.py",
    "tests/testing/test_chaos_start.py",
    "tests/testing/test_chaos_ticker.py",
    "tests/testing/test_chaos_transactions.py",
    "tests/testing/test_chaos_workers.py",
    "tests/testing/test_txn_book.py",
    # Messages: declarations, and what is generated from them.
    "tests/protocol/test_apis.py",
    "tests/protocol/test_compiler.py",
    "tests/protocol/test_error_codes.py",
    "tests/protocol/test_fuzz.py",
    "tests/protocol/test_java_oracle.py",
    "tests/protocol/test_kafka_definitions.py",
    "tests/protocol/test_schema.py",
    "tests/protocol/test_schema_covers_kafka.py",
    "tests/protocol/test_versions.py",
    # Codecs are libraries of others, and what is read of batches is not compiled; what is written is compared with a reference
    # codec in both builds (tests/protocol/test_records.py).
    "tests/protocol/test_codecs.py",
    "tests/protocol/test_record_decode.py",
    "tests/protocol/test_record_fuzz.py",
    "tests/protocol/test_records_java.py",
    # SASL, and what is around TLS: values and files.
    "tests/protocol/sasl/test_authenticate.py",
    "tests/protocol/sasl/test_oauthbearer.py",
    "tests/protocol/sasl/test_scram.py",
    "tests/protocol/sasl/test_token.py",
    "tests/protocol/sasl/test_words.py",
    "tests/actors/test_tls_files.py",
    "tests/api/test_doctor_verdict.py",
    "tests/api/test_oidc.py",
    # Options are checked by pydantic models.
    "tests/api/test_config.py",
    "tests/api/test_config_checks.py",
    "tests/api/test_config_environment.py",
    "tests/api/test_config_from_clients.py",
    "tests/api/test_config_plain.py",
    "tests/api/test_config_properties.py",
    "tests/api/test_config_properties_security.py",
    "tests/api/test_config_security.py",
    "tests/api/test_config_txn_pools.py",
]
# What can not differ either, on brokers.
BROKERS = [
    # The clusters for tests, what administrates them, the command line, and the doctor; nothing of them is compiled.
    "tests/cli",
    "tests/integration/test_admin.py",
    "tests/integration/test_doctor.py",  # what a client's doctor() says: tests/api/test_doctor.py
    "tests/testing/test_cli_cluster.py",
    "tests/testing/test_cluster.py",
    "tests/testing/test_old_clusters.py",
    "tests/testing/test_secure_cluster.py",
    # What brokers do where klife's answer is tested in both builds on a scripted one.
    "tests/integration/test_auto_created_topics.py",  # tests/actors/test_asking_metadata.py
    "tests/integration/test_brokers_without_producer_ids.py",  # test_producer_id.py
    "tests/integration/test_brokers_without_topic_ids.py",  # test_asking_metadata.py, test_metadata_snapshot.py
    "tests/integration/test_failing_over.py",  # test_every_code.py, test_delivery_model.py, test_txn_answers.py
    "tests/integration/test_forgetful_brokers.py",  # test_delivery_model.py, test_partition.py
    "tests/integration/test_late_records.py",  # test_txn_late.py
    "tests/integration/test_quotas.py",  # test_throttling.py
    "tests/integration/test_transaction_versions.py",  # test_txn_answers.py, and each build meets a version: txn_versions.py
    "tests/integration/test_secure_errors.py",  # tests/actors/test_authenticating.py, test_tls.py, test_tokens.py
    "tests/integration/test_secure_life.py",
    "tests/integration/test_secure_smoke.py",
    "tests/integration/test_secure_ways.py",
]
# What real brokers do to a client, by the suite that runs it, so that all end at about the same time. What the client
# answers is tested in both builds on scripted ones.
IN_ONE_BUILD = {
    "tests/integration/test_brokers_gone.py": "pure",  # tests/actors/test_no_broker.py, test_exits.py, test_deadlines.py
    "tests/integration/test_forks.py": "brokers",  # tests/actors/test_forked_children.py, test_unannounced_forks.py
    "tests/integration/test_keys_and_partitions.py": "compiled",  # tests/actors/test_partitioners.py, test_topic.py
    "tests/integration/test_killed_actors.py": "brokers",  # tests/actors/test_surviving.py
    "tests/integration/test_secure_acls.py": "compiled",  # tests/actors/test_every_code.py
    "tests/integration/test_threads_and_logs.py": "compiled",  # tests/api/test_client.py, test_homes.py
    "tests/testing/test_chaos_runs.py": "brokers",  # both builds
    "tests/integration/test_topics.py": "pure",  # tests/actors/test_asking_metadata.py, test_added_partitions.py
}
CLUSTERS = {"kafka_cluster": 1, "secure_cluster": 2, "kafka_of_v1": 4}  # fixtures of the session
OPTIONS_VARIABLE = "KAFKA_JVM_PERFORMANCE_OPTS"
# For brokers that live for a minute, or are killed in it: the JVM's optimising compiler would take half of the
# machine, and its parallel garbage collector has threads to start.
OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
BUILDS = ("compiled", "pure")
COLLECTED = "collected"  # the file that says so
SUMMARY = "short test summary info"
LAST_LINES = 20
NO_TESTS = 5
"""Of a suite in which there is none of what pytest was told to run."""


class Suite:
    """A pytest, running. `summary` is what it ends with: pytest's own, or whatever came last."""

    def __init__(self, name: str, arguments: list[str], broker_options: str) -> None:
        self.name = name
        self.summary: deque[str] = deque(maxlen=LAST_LINES)
        own = ["-p", "tests.both_builds", "--suite", name, "-o", f"cache_dir=.pytest_cache/{name}"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *own, "--durations=15", *arguments],
            cwd=ROOT,
            env=_environment(broker_options) | {"KLIFE_PURE": SUITES[name], "PYTHONUNBUFFERED": "1"},
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
            print(f"[{self.name}] {line}", end="", flush=True)

    def wait_until(self, there: Path) -> None:
        """Return when that file is there, or the suite has ended."""
        while self._process.poll() is None and not there.exists():
            time.sleep(0.1)

    def wait(self) -> int:
        """The exit status, when all is printed."""
        self._printer.join()
        return self._process.wait()


def _environment(broker_options: str) -> dict[str, str]:
    """What all that is started here inherits. Where Python was told to write no bytecode, each of the hundreds
    of programs that tests start would compile klife's sources anew.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {OPTIONS_VARIABLE: broker_options}


def _program(name: str, broker_options: str, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"tests.support.{name}", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=_environment(broker_options), stdin=subprocess.PIPE)


def main(arguments: list[str]) -> int:
    options = os.environ.get(OPTIONS_VARIABLE, OPTIONS)
    with tempfile.TemporaryDirectory(prefix="klife-tests-") as folder:
        archiving = _program("shared_classes", options)
        cluster = _program("shared_cluster", options, folder)
        # In one word: pytest would take a folder that stands alone for the tests', and look for its settings there.
        arguments = [f"--shared-cluster={folder}", *arguments]
        # The first compiles to bytecode what others import as well, for seconds: each would do it for itself at the same time.
        suites = [Suite("pure", arguments, options)]
        suites[0].wait_until(Path(folder) / COLLECTED)
        suites += [Suite(name, arguments, options) for name in ("compiled", "once")]
        archiving.wait()  # those start no cluster so soon
        suites.append(Suite("brokers", arguments, options))
        statuses = [suite.wait() for suite in suites]
        cluster.communicate(b"keep the logs\n" if any(status not in (0, NO_TESTS) for status in statuses) else b"")
    if all(status == NO_TESTS for status in statuses):
        return NO_TESTS
    for suite, status in zip(suites, statuses, strict=True):
        outcome = f"FAILED (exit status {status})" if status not in (0, NO_TESTS) else "passed"
        last = list(suite.summary) if status else list(suite.summary)[-1:]
        print(f"\nThe suite '{suite.name}' {outcome}:\n{''.join(last)}", end="", flush=True)
    return 1 if any(status not in (0, NO_TESTS) for status in statuses) else 0


# In the suites' pytests, for which this is a plugin.


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--suite", choices=list(SUITES), help="run what is this suite's, see tests/both_builds.py")
    parser.addoption("--shared-cluster", type=Path, help="the folder of the cluster that the suites share")


def pytest_ignore_collect(collection_path: Path, config: Any) -> bool | None:
    """Files of the other suites need not be imported."""
    return True if collection_path.suffix == ".py" and not _is_mine(collection_path, config) else None


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Files that pytest was told to run are imported whosever they are."""
    clusters = {item.path: 0 for item in items}
    for item in items:
        clusters[item.path] |= sum(number for name, number in CLUSTERS.items() if name in _fixtures(item))
    items[:] = sorted((item for item in items if _is_mine(item.path, config)), key=lambda item: clusters[item.path])


def pytest_collection_finish(session: Any) -> None:
    """What was collected, thousands of tests and their modules, stays; a tenth of the processor time would go
    into looking at it again and again.
    """
    if folder := session.config.getoption("shared_cluster"):
        (folder / COLLECTED).touch()
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, object, object]:
    """Have `kafka_cluster` be the one that the suites share."""
    folder = request.config.getoption("shared_cluster")
    if folder is None or fixturedef.argname != "kafka_cluster":
        return (yield)
    from tests.support.shared_cluster import shared_with

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KLIFE_TEST_BOOTSTRAP", shared_with(folder))
        return (yield)


def _fixtures(item: Any) -> set[str]:
    """Its fixtures, with the cluster that a test of each version of transactions gets by its parameter."""
    from tests.support import txn_versions  # here, where it is a plugin; as a program it finds no package `tests`

    parameter = item.callspec.params.get("cluster") if hasattr(item, "callspec") else None
    return {*item.fixturenames, *(fixture for version, fixture in txn_versions.CLUSTERS.items() if version == parameter)}


def _is_mine(path: Path, config: Any) -> bool:
    suite, owner = config.getoption("suite"), _owner(path)
    return suite in BUILDS if owner is None else bool(suite == owner)


@cache  # asked for each test, of which a file has hundreds
def _owner(path: Path) -> str | None:
    """The one suite that runs this file; None where both builds do."""
    owners = IN_ONE_BUILD | dict.fromkeys(ONCE, "once") | dict.fromkeys(BROKERS, "brokers")
    places = [str(each.relative_to(ROOT)) for each in (path, *path.parents) if each.is_relative_to(ROOT)]
    return next((owners[place] for place in places if place in owners), None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
