"""`Partitioner`: what an object must do to choose partitions. klife's own are in
`klife.actors.producer.partitioners`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from klife.record import Record


@runtime_checkable
class Partitioner(Protocol):
    """Chooses the partition of a record that names none. It need not inherit from this: the method is what
    counts.

    A partitioner may have two things more:

    - an attribute `sticky_keyless`: True asks the producer to choose for records without a key itself, one
      partition of the topic until its batch closes, then another (KIP-480). `partition` is then called for
      keyed records only.
    - a method `any_will_do(record) -> bool`, whether the record may go to any partition. It is asked only
      while some partitions have no leader. If so, the producer chooses one that has a leader, and `partition`
      is not called.
    """

    @abstractmethod
    def partition(self, record: Record, partition_count: int) -> int:
        """Return the partition for `record`, from 0 to `partition_count` - 1.

        Runs in the greenlet (or thread) that produces, possibly in several threads at once. What it raises is
        raised by `produce`.
        """
        raise NotImplementedError
