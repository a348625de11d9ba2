"""What `klife topics` shows of a partition that has no leader: a cluster that is well has none to show."""

from __future__ import annotations

from klife.admin.answers import partitions_of
from klife.cli.topics import _row
from klife.protocol.apis.metadata import MetadataResponsePartition, MetadataResponseTopic


def test_a_partition_without_a_leader_says_so() -> None:
    answered = MetadataResponsePartition(partition_index=1, leader_id=-1, replica_nodes=[1, 2], isr_nodes=[])
    (partition,) = partitions_of(MetadataResponseTopic(partitions=[answered]))
    assert partition.leader is None
    assert _row("orders", partition) == ("orders", "1", "none", "1,2", "")
