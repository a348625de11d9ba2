"""Fixtures for tests of programs that produce, in any suite of an environment that has klife installed:

    def test_an_order_reaches_kafka(klife_client):
        klife_client.produce(Record(topic="orders", value=b"...")).get()
        assert len(all_produced(klife_client, "orders")) == 1

- `klife_fake` (function): a `klife.testing.fake.FakeCluster`, a Kafka in this process, for this test alone.
- `klife_client` (function): a client of it, ready, with `klife.testing.setup` called; stopped after the test.
  With `pytest --klife-real` it is a client of `kafka_cluster`.
- `klife_options` (function): the options of that client, none but for its brokers; a suite has a fixture of that
  name to give it some, its topics' serializers say.
- `kafka_cluster` (session): a `klife.testing.cluster.KafkaCluster` of three brokers, started by the first
  test that asks for it. `KLIFE_TEST_BOOTSTRAP=host:port,...` names a cluster to use instead.

The brokers' logs outlive the session when a test that used them failed, and its report names their folder.

And where a suite uses freezegun, klife's clocks are none of those that it stops: deadlines would never pass.

pytest loads this module at its start, in every suite; so it imports nothing of klife until a fixture is used.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from klife import Client
    from klife.testing.cluster import KafkaCluster
    from klife.testing.fake import FakeCluster

BROKERS = 3
REAL = "--klife-real"
READY_TIMEOUT_SECONDS = 30.0

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(REAL, action="store_true", help="klife_client is a client of real brokers (kafka_cluster), not of klife_fake")


@pytest.fixture
def klife_fake() -> Generator[FakeCluster, None, None]:
    """A Kafka in this process, for this test alone: topics, their records, and failures to order."""
    from klife.testing.fake import FakeCluster

    with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def klife_options() -> dict[str, Any]:
    """The options of `klife_client`, beside its brokers; for a suite to override."""
    return {}


@pytest.fixture
def klife_client(request: pytest.FixtureRequest, klife_options: Mapping[str, Any]) -> Generator[Client, None, None]:
    """A klife client of `klife_fake`, or with --klife-real of `kafka_cluster`, ready; `all_produced` tells
    what came after its start.
    """
    from klife import Client
    from klife.testing import setup

    cluster = request.getfixturevalue("kafka_cluster" if request.config.getoption(REAL) else "klife_fake")
    with Client.start(**{"bootstrap_servers": cluster.bootstrap_servers, **klife_options}) as client:
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
    if report.failed and cluster is not None and _uses_brokers(item):
        report.sections.append(("Kafka brokers' logs", f"kept in {_keep_logs(item.config, cluster)}"))
    return report


def _uses_brokers(item: pytest.Item) -> bool:
    fixtures = getattr(item, "fixturenames", ())
    return "kafka_cluster" in fixtures or ("klife_client" in fixtures and item.config.getoption(REAL))


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
