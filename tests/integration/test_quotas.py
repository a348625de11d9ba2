"""A producer over its quota: the broker answers, and reads nothing more of the connection for as long as it
said (KIP-219).
"""

from __future__ import annotations

import uuid
from typing import Any

from klife import Client, Record
from klife.testing.cluster import KafkaCluster
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.quotas import set_producer_quota

RATE = 40_000  # bytes a second; what goes beyond the allowance of ten seconds is paid for
SIZE = 60_000  # so a batch costs a pause of 1.5 s, once seven are written
RECORDS = 10
TIMEOUT_MS = 2_500  # for what is in flight behind two such pauses, or more


def test_with_five_in_flight_a_producer_over_its_quota_writes_each_record_once_and_sends_each_batch_once(
    kafka_cluster: KafkaCluster, start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    kinds: list[dict[str, Any]] = [{"acks": 1}, {"acks": "all"}]
    started: list[tuple[Client, str, int, Any]] = []
    for options in kinds:  # both at once, because the pauses are what it takes
        client_id = f"quota-{uuid.uuid4().hex[:8]}"
        set_producer_quota(kafka_cluster, client_id, RATE)
        topic = make_topic(RECORDS * 3)
        leader = kafka_cluster.describe_topic(topic)[0].leader  # quotas are each broker's own
        partitions = [each.index for each in kafka_cluster.describe_topic(topic) if each.leader == leader][:RECORDS]
        client = start_client(
            client_id=client_id, max_in_flight_requests=5, batch_size_bytes=SIZE, request_timeout_ms=TIMEOUT_MS, **options
        )
        client.produce_batch([Record(topic, b"warm", partition=number) for number in partitions]).get(60)
        records = [Record(topic, number.to_bytes(4, "big") * (SIZE // 4), partition=number) for number in partitions]
        started.append((client, topic, requests_of(client), client.produce_batch(records)))
    for client, topic, before, delivery in started:
        assert [result.error for result in delivery.get(60)] == [None] * RECORDS
        values = [record.value for record in read_back(topic, 2 * RECORDS) if record.value != b"warm"]
        assert len(values) == len(set(values)) == RECORDS, "some were written twice"
        assert requests_of(client) - before == RECORDS


def requests_of(client: Client) -> int:
    return sum(producer.requests for producer in client.status().producers)
