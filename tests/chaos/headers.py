"""Which producer id, epoch and sequence the batches of a log carry: what explains a doubled or misplaced
record.

Read with klife's own codec, for a violation's history only. The check itself relies on the independent
reader.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from klife.protocol.apis.fetch import FetchPartition, FetchRequest, FetchTopic
from klife.protocol.apis.metadata import MetadataRequest, MetadataRequestTopic
from klife.protocol.record_decode import decode_batches
from klife.testing.cluster import KafkaCluster

PARTITION_BYTES = 1 << 20


class BatchHeader(NamedTuple):
    """A batch in a log."""

    base_offset: int
    records: int
    producer_id: int
    epoch: int
    sequence: int
    leader_epoch: int


def read_headers(cluster: KafkaCluster, topic: str, partition: int) -> list[BatchHeader]:
    """All batches of a partition of a quiet cluster, in the order of the log."""
    found: list[BatchHeader] = []
    with cluster.admin() as admin:
        asked = MetadataRequest(topics=[MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False)
        metadata = admin.send(asked, admin.brokers()[0].address)
        described = metadata.topics[0]
        leader = next(each.leader_id for each in described.partitions if each.partition_index == partition)
        address = next(broker.address for broker in admin.brokers() if broker.node_id == leader)
        while True:
            position = found[-1].base_offset + found[-1].records if found else 0
            wanted = FetchTopic(topic=topic, topic_id=described.topic_id)
            wanted.partitions = [FetchPartition(partition=partition, fetch_offset=position, partition_max_bytes=PARTITION_BYTES)]
            response = admin.send(FetchRequest(max_wait_ms=100, min_bytes=1, max_bytes=PARTITION_BYTES, topics=[wanted]), address)
            data: Any = response.responses[0].partitions[0].records if response.responses else None
            batches = decode_batches(data or b"")
            found += [
                BatchHeader(b.base_offset, b.record_count, b.producer_id, b.producer_epoch, b.base_sequence, b.partition_leader_epoch)
                for b in batches
                if b.base_offset >= position
            ]
            if not any(batch.base_offset >= position for batch in batches):
                return found
