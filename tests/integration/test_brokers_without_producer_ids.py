"""Kafka 2.8 in KRaft mode, then a preview, serves no InitProducerId: nobody is idempotent there, and klife
says so at once.
"""

from __future__ import annotations

import uuid

import pytest

from klife import Client, ProduceError, Record
from klife.testing.cluster import KafkaCluster


def test_records_fail_at_once_and_say_what_to_set() -> None:
    topic = f"plain-{uuid.uuid4().hex[:8]}"
    with KafkaCluster(brokers=1, version="2.8.2", config={"process.roles": "broker,controller"}) as cluster:
        cluster.create_topic(topic, 1)
        with Client.start(cluster.bootstrap_servers) as client:
            with pytest.raises(ProduceError, match="enable_idempotence=False") as caught:
                client.produce(Record(topic, b"v")).get(20)  # of 60 that it would have
            assert not caught.value.possibly_persisted
        with Client.start(cluster.bootstrap_servers, enable_idempotence=False) as client:
            assert client.produce(Record(topic, b"v")).get(20).offset == 0
