"""The pytest plugin, by suites that use it as a user's would: in a pytest process of their own, on the
session's cluster.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from klife.testing.cluster import KafkaCluster

SUITE = """
    import uuid
    from klife import Record
    from klife.testing import all_produced

    def test_arrives(kafka_cluster, klife_client):
        topic = f"plugin-{uuid.uuid4().hex[:8]}"
        kafka_cluster.create_topic(topic, partitions=2)
        result = klife_client.produce(Record(topic=topic, value=b"v")).get()
        assert all_produced(klife_client, topic, value=b"v") == [result]
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, kafka_cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("KLIFE_TEST_BOOTSTRAP", kafka_cluster.bootstrap_servers)
    return pytester


def test_a_suite_uses_the_fixtures_without_configuring_anything(suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE)
    suite.runpytest_subprocess("--klife-real").assert_outcomes(passed=1)


def test_without_more_a_client_is_one_of_a_fake_of_the_test_s_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from klife import ProduceError, Record
        from klife.testing import all_produced

        @pytest.mark.parametrize("again", range(2))
        def test_arrives(klife_fake, klife_client, again):
            klife_fake.create_topic("orders", partitions=2)
            result = klife_client.produce(Record(topic="orders", value=b"v")).get()
            assert all_produced(klife_client, "orders") == klife_fake.records("orders") == [result]

        def test_fails(klife_fake, klife_client):
            klife_fake.fail_next("TOPIC_AUTHORIZATION_FAILED")
            with pytest.raises(ProduceError) as caught:
                klife_client.produce(Record(topic="orders", value=b"v")).get()
            assert caught.value.error_code == 29
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=3)


def test_the_client_of_a_test_is_stopped_after_it(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        seen = []

        def test_first(klife_client):
            assert klife_client.status().producers[0].producer_id is not None
            seen.append(klife_client)

        def test_second(klife_client):
            assert klife_client is not seen[0]
            assert seen[0].status().state == "closed"
            assert klife_client.status().state == "running"
        """
    )
    suite.runpytest_subprocess("--klife-real").assert_outcomes(passed=2)


def test_a_failure_keeps_the_brokers_logs_and_names_their_folder(suite: pytest.Pytester) -> None:
    suite.makepyfile("def test_one(klife_client): assert 0\ndef test_two(kafka_cluster): assert 0\ndef test_three(): assert 0")
    result = suite.runpytest_subprocess("--klife-real")
    result.assert_outcomes(failed=3)
    folders = [Path(found) for found in re.findall(r"^kept in (.+)$", result.stdout.str(), re.MULTILINE)]
    assert len(folders) == 2, "the third test does not use Kafka"
    assert len(set(folders)) == 1, "one folder a session"
    assert any(folders[0].iterdir())
    shutil.rmtree(folders[0])


def test_a_suite_without_kafka_neither_starts_nor_imports_anything(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLIFE_TEST_BOOTSTRAP", "127.0.0.1:1")
    pytester.makepyfile(
        """
        import sys

        def test_imports():
            assert "klife.testing.pytest_plugin" in sys.modules
            assert not {"gevent", "pykka", "klife.api.client", "klife.testing.cluster"} & sys.modules.keys()

        def test_fails():
            assert 0
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.no_fnmatch_line("*Kafka*")


def test_the_fixtures_are_listed_with_what_they_are(pytester: pytest.Pytester) -> None:
    listing = pytester.runpytest_subprocess("--fixtures").stdout.str()
    assert "A real Kafka cluster of three brokers" in listing
    assert "A klife client of `klife_fake`" in listing
