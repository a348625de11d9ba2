"""Fixtures for tests against a real Kafka, in any suite of an environment that has klife installed:

    def test_an_order_reaches_kafka(kafka_cluster, klife_client):
        kafka_cluster.create_topic("orders", partitions=6)
        klife_client.produce(Record(topic="orders", value=b"...")).get()
        assert len(all_produced(klife_client, "orders")) == 1

- `kafka_cluster` (session): a `klife.testing.cluster.KafkaCluster` of three brokers, started by the first
  test that asks for it. `KLIFE_TEST_BOOTSTRAP=host:port,...` names a cluster to use instead.
- `klife_client` (function): a client of it, ready, with `klife.testing.setup` called; stopped after the test.

The brokers' logs outlive the session when a test that used them failed, and its report names their folder.

And where a suite uses freezegun, klife's clocks are none of those that it stops: deadlines would never pass.

pytest loads this module at its start, in every suite; so it imports nothing of klife until a fixture is used.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from klife import Client
    from klife.testing.cluster import KafkaCluster

BROKERS = 3
READY_TIMEOUT_SECONDS = 30.0

_FIXTURES = {"kafka_cluster", "klife_client"}
_NOT_FROZEN = ("klife", "klife_supervision")
_running = pytest.StashKey["KafkaCluster"]()
_kept = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def kafka_cluster(pytestconfig: pytest.Config) -> Generator[KafkaCluster, None, None]:
    """A real Kafka cluster of three brokers, for the whole session."""
    from klife.testing.cluster import KafkaCluster

    with KafkaCluster(brokers=BROKERS) as cluster:
        pytestconfig.stash[_running] = cluster
        try:
            yield cluster
        finally:
            del pytestconfig.stash[_running]


@pytest.fixture
def klife_client(kafka_cluster: KafkaCluster) -> Generator[Client, None, None]:
    """A klife client of `kafka_cluster`, ready; `all_produced` tells what came after its start."""
    from klife import Client
    from klife.testing import setup

    with Client.start(kafka_cluster.bootstrap_servers) as client:
        client.wait_ready(READY_TIMEOUT_SECONDS)
        setup(client)
        yield client


def pytest_collection_finish() -> None:
    _let_our_clocks_run()  # before what is frozen for longer than a test


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    _let_our_clocks_run()


def _let_our_clocks_run() -> None:
    """Have freezegun ignore klife, if anybody has imported it, and unless that was done."""
    freezegun = sys.modules.get("freezegun")
    if freezegun is not None and not set(_NOT_FROZEN) <= set(freezegun.config.settings.default_ignore_list):
        freezegun.configure(extend_ignore_list=[*_NOT_FROZEN])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep the brokers' logs when a test that uses them fails, and say where."""
    report = yield
    cluster = item.config.stash.get(_running, None)
    if report.failed and cluster is not None and _FIXTURES.intersection(getattr(item, "fixturenames", ())):
        report.sections.append(("Kafka brokers' logs", f"kept in {_keep_logs(item.config, cluster)}"))
    return report


def _keep_logs(config: pytest.Config, cluster: KafkaCluster) -> Path:
    """The folder of the kept logs: one a session, as of its last failure, since each broker's log holds all
    the earlier ones.
    """
    newest = cluster.keep_logs()
    folder = config.stash.get(_kept, None)
    if folder is None:
        folder = config.stash[_kept] = newest
    else:
        shutil.rmtree(folder, ignore_errors=True)
        newest.rename(folder)
    return folder
