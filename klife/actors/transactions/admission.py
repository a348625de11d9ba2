"""`Admission`: which partitions the open transaction of a producer has, and which wish to be in it.

Nothing leaves for a partition before it is admitted. In v1 it is once the coordinator has been asked to add it, by
a request of the producer's actor. In v2 the leader of a partition adds it, with the first batch; so there it is
admitted when that may leave, which is when its leader's turn has come.

A leader adds partitions by asking the coordinator. Two that do so at once meet each other's change, and then wait
for 20 ms before they ask again. That is longer than one after the other takes, unless the brokers are far away, or
have much to do: then all have their turn at once (`Connections.are_quick`).

A plain value, a part of its `TransactionalProducer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from klife import cython_shim as cython

if cython.compiled:
    import cython

if TYPE_CHECKING:
    from collections.abc import Iterable

    from klife.actors.producer.batcher import Batchers
    from klife.actors.producer.identity import Identities
    from klife.actors.producer.partition import Partition
    from klife.actors.transactions.connections import Connections


class Admission:
    """The wishes of one producer's partitions."""

    __slots__ = ("by_leaders", "wishes", "adding", "_identities", "_batchers", "_connections")

    def __init__(self, identities: Identities, batchers: Batchers, connections: Connections) -> None:
        self._identities = identities
        self._batchers = batchers
        self._connections = connections
        self.by_leaders: bool = False  # in v2
        self.wishes: dict[Partition, None] = {}  # with batches that may not leave before they are admitted
        self.adding: list[Partition] = []  # who are being added: by their first batch (v2), or by a request (v1)

    def begin(self) -> None:
        """Another transaction begins: it has no partitions."""
        self.wishes.clear()
        self.adding = []

    @cython.locals(identity="Identity", batcher="Batcher", broker="Broker", waits=cython.bint)
    def awaits(self, partition: Partition) -> bool:
        """Whether `partition`, which has a new batch, is left to be offered when it is admitted.

        It wishes for that from now on. In v2 whoever comes first does so by its batcher, which then has a request
        to send. Where the leader can not be reached, the batcher has to look in any case: it connects.
        """
        identity = self._identities.current
        batcher = partition.served_by
        if identity is None or identity.admits(partition):
            return False
        broker = batcher.broker
        if not broker.is_ready:
            return False
        if not self.by_leaders:
            self.wishes[partition] = None
            self._batchers.wake()
            return True
        waits = bool(self.wishes) or self._turn_is_taken()
        self.wishes[partition] = None
        return waits

    def wish(self, partitions: Iterable[Partition]) -> None:
        """They have something to send."""
        self.wishes.update(dict.fromkeys(partitions))

    @cython.locals(identity="Identity", partition="Partition", batcher="Batcher")
    def admit(self, partitions: list[Partition]) -> None:
        """Records may be written to them under the current identity."""
        identity = self._identities.current
        assert identity is not None
        assert identity.admitted is not None
        identity.admitted.update(partitions)
        for partition in partitions:
            self.wishes.pop(partition, None)
            self._batchers.offer(partition)
            batcher = partition.served_by
            if batcher is not None and batcher.inbox is not None:
                batcher.inbox.idle = True  # they have waited: who has more for the request has given it by now

    @cython.locals(partition="Partition", first="Partition", reachable=list, adding=list, in_turn=cython.bint)
    def turn(self) -> list[Partition]:
        """In v2: those that are to be admitted now, which are one leader's, or all, or none as long as another
        leader adds some. Its answer is the time to look again.
        """
        if self._turn_is_taken():
            return []
        reachable = self.reachable()
        if reachable:
            first, in_turn = reachable[0], self._connections.are_quick
            adding: list[Partition] = []
            for partition in reachable:
                if not in_turn or partition.served_by is first.served_by:
                    adding.append(partition)  # noqa: PERF401 - C has no types in a comprehension
            self.adding = adding
        return self.adding if reachable else []

    @cython.locals(identity="Identity", each="Partition", wishes=dict)
    def _turn_is_taken(self) -> bool:
        """Whether a leader that can be reached adds partitions, and the others are to wait for that."""
        if not self.adding or not self._connections.are_quick:
            return False
        identity, wishes = self._identities.current, self.wishes
        for each in self.adding:  # one that still wishes was to be admitted by somebody who was interrupted
            if each.log.accepted is not identity and each not in wishes and (each.in_flight or not each.empty) and _is_reachable(each):
                return True
        return False

    @cython.locals(partition="Partition", reachable=list)
    def reachable(self) -> list[Partition]:
        """Those that wish to send, and whose leaders can be reached. The batchers of the others connect first; who
        has no leader is offered again when it has one.
        """
        reachable = []
        for partition in list(self.wishes):
            if _is_reachable(partition):
                reachable.append(partition)
            elif partition.served_by is not None and not partition.listed:
                self._batchers.offer(partition)
        return reachable


@cython.cfunc
@cython.returns(cython.bint)
@cython.exceptval(-1)
@cython.locals(partition="Partition", batcher="Batcher", broker="Broker")
def _is_reachable(partition: Partition) -> bool:
    batcher = partition.served_by
    if batcher is None:
        return False
    broker = batcher.broker
    ready: bool = broker.is_ready
    return ready
