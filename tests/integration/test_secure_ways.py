"""Every listener, mechanism and kind of credential: whatever one does with a producer, the records arrive, and
`klife.testing` finds them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from gevent import get_hub

from klife.admin import AdminClient, AdminError, NewTopic
from klife.testing.cluster import KafkaCluster
from tests.support import SUPPORT
from tests.support.reader import read_topic
from tests.support.secure import client_options, every_way, secure_kafka, with_options

PROGRAM = SUPPORT / "secure_ways.py"
RECORDS = 36  # of each way


@pytest.fixture(scope="module", params=["4.3", "3.9"])
def cluster(request: pytest.FixtureRequest, secure_cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    if request.param == "4.3":
        yield secure_cluster
        return
    with secure_kafka(request.param, brokers=1) as older:
        yield older


@pytest.mark.parametrize("how", ["plain", "patched"])
def test_each_use_of_a_producer_works_by_every_way(cluster: KafkaCluster, how: str) -> None:
    ways = every_way(cluster)
    topic = f"ways-{how}"
    cluster.create_topic(topic, partitions=3)
    command = [sys.executable, str(PROGRAM), how, topic]
    environment = with_options(cluster, ways)
    ended = get_hub().threadpool.apply(lambda: subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280))
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert {name: (len(said) if isinstance(said, list) else said) for name, said in told.items()} == dict.fromkeys(ways, RECORDS)
    assert ended.stderr.count("password_sent_in_the_clear") == len([way for way in ways if way.startswith("SASL_PLAINTEXT PLAIN")])
    found = [
        repr((each.partition, each.offset, each.key, each.value, each.headers)) for each in read_topic(cluster.bootstrap_servers, topic)
    ]
    assert sorted(found) == sorted(record for said in told.values() for record in said)


def test_topics_are_administrated_by_a_secured_listener(cluster: KafkaCluster) -> None:
    options = client_options(cluster, "SASL_SSL", "SCRAM-SHA-256", "o,d=d")
    servers = options.pop("bootstrap_servers")
    with AdminClient(servers, **options) as admin:
        admin.create_topics([NewTopic("administrated", partitions=2)])
        assert len(admin.describe_topics()["administrated"]) == 2
        assert [broker.address for broker in admin.brokers()] == servers.split(",")
        admin.delete_topics(["administrated"])


def test_an_administrator_whom_brokers_do_not_know_is_told_at_once(cluster: KafkaCluster) -> None:
    servers = cluster.bootstrap_servers_for("SASL_PLAINTEXT")
    sasl = {**cluster.sasl_for("SCRAM-SHA-256"), "password": "not-the-one"}
    with pytest.raises(AdminError, match=r"127\.0\.0\.1:\d+: .*SCRAM-SHA-256.*klife") as caught:
        AdminClient(servers, timeout=3600, sasl=sasl).brokers()
    assert "not-the-one" not in str(caught.value)
