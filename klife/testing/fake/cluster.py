"""`FakeCluster`: what tests hold."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Self

from klife.protocol.error_codes import ErrorCode
from klife.record import Record
from klife.testing.fake.answers import answered
from klife.testing.fake.faults import Failure, code_of
from klife.testing.fake.server import Server
from klife.testing.fake.state import State


class FakeCluster:
    """Brokers in this process. A context manager; they listen from the start, and end with the block.

    All calls work from any thread, and return at once.
    """

    def __init__(
        self, brokers: int = 1, topics: Mapping[str, int] | None = None, *, auto_create_partitions: int = 1, latency_ms: float = 0
    ) -> None:
        """`topics` are names and numbers of partitions. A topic that somebody produces to, or asks about and
        lets be created, is made with `auto_create_partitions`; with 0 none is. Each answer leaves
        `latency_ms` after its request came.

        Raises:
            ValueError: a number is too small.
        """
        if brokers < 1:
            raise ValueError(f"brokers is {brokers}; a cluster has one or more")
        self._state = State(range(1, brokers + 1), auto_create_partitions)
        self._server = Server(partial(answered, self._state), self._state.ports)
        self.latency_ms = latency_ms
        for node_id in self._state.brokers:
            self.start(node_id)
        for name, partitions in (topics or {}).items():
            self.create_topic(name, partitions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """End the brokers. What is in their logs can still be read."""
        self._server.stop()

    @property
    def auto_create_partitions(self) -> int:
        """How many partitions a topic has that is made because somebody produces to it; 0: none is made."""
        return self._state.auto_create_partitions

    @auto_create_partitions.setter
    def auto_create_partitions(self, value: int) -> None:
        self._state.auto_create_partitions = value

    @property
    def bootstrap_servers(self) -> str:
        """The addresses of all brokers, as a client takes them."""
        return ",".join(f"127.0.0.1:{self._state.ports[node_id]}" for node_id in self._state.brokers)

    # topics, and what is in them

    def create_topic(
        self, name: str, partitions: int = 1, *, replication_factor: int = 1, config: Mapping[str, str] | None = None
    ) -> None:
        """A topic more. There are no replicas, whatever `replication_factor` says, and `config` changes nothing.

        Raises:
            ValueError: it is there already, or `partitions` is less than 1.
        """
        with self._server.lock:
            if name in self._state.topics:
                raise ValueError(f"topic {name!r} is there already")
            if partitions < 1:
                raise ValueError(f"partitions is {partitions}; a topic has one or more")
            self._state.add_topic(name, partitions)

    def delete_topic(self, name: str) -> None:
        """The topic and its records are gone.

        Raises:
            KeyError: there is none of that name.
        """
        with self._server.lock:
            del self._state.topics[name]

    def records(self, topic: str, partition: int | None = None) -> list[Record]:
        """The records that were written, by partition and offset, as `produce` returns them. Of transactions
        those that were committed.

        Raises:
            KeyError: there is no such topic.
        """
        with self._server.lock:
            return list(self._state.topics[topic].records(partition))

    # what goes wrong

    def fail_next(
        self,
        error: int | str = ErrorCode.NOT_ENOUGH_REPLICAS,
        *,
        topic: str | None = None,
        partition: int | None = None,
        times: int = 1,
        persisted: bool = False,
    ) -> None:
        """Answer the next `times` batches (of `topic`, of `partition`) with an error of Kafka's: a code, or a
        name as "NOT_ENOUGH_REPLICAS". With `persisted` they are written all the same.

        Raises:
            ValueError: Kafka has no such error.
        """
        code = code_of(error)
        with self._server.lock:
            self._state.faults.failures.append(Failure(code, topic, partition, times, persisted))

    def lose_answers(self, times: int = 1) -> None:
        """Write what the next `times` produce requests bring, and close their connections without an answer."""
        with self._server.lock:
            self._state.faults.answers_to_lose += times

    @property
    def latency_ms(self) -> float:
        """Milliseconds from a request to its answer."""
        return self._server.latency * 1000

    @latency_ms.setter
    def latency_ms(self, value: float) -> None:
        self._server.latency = value / 1000

    def pause(self, node_id: int | None = None) -> None:
        """The broker (all, without an id) takes connections and requests, and answers nothing."""
        with self._server.lock:
            self._server.paused |= {node_id} if node_id is not None else set(self._state.brokers)

    def resume(self, node_id: int | None = None) -> None:
        """It goes on, with what came meanwhile first."""
        with self._server.lock:
            self._server.paused -= {node_id} if node_id is not None else set(self._state.brokers)
        self._server.wake()

    def move_leader(self, topic: str, partition: int, node_id: int) -> None:
        """Another broker leads the partition; -1: none does.

        Raises:
            KeyError, IndexError: there is no such topic or partition.
        """
        with self._server.lock:
            self._state.topics[topic].partitions[partition].move(node_id)

    def stop(self, node_id: int) -> None:
        """The broker closes its connections and takes no more. What it led is led by another, if one is left."""
        self._server.close(node_id)
        with self._server.lock:
            self._state.alive = [each for each in self._state.alive if each != node_id]
            self._state.elect()

    def kill(self, node_id: int) -> None:
        """As `stop`: nothing of a fake broker is lost."""
        self.stop(node_id)

    def start(self, node_id: int) -> None:
        """A broker that was stopped is there again, at the address it had.

        Raises:
            RuntimeError: the cluster was closed.
        """
        if node_id not in self._state.alive:
            self._server.listen(node_id)
            with self._server.lock:
                self._state.alive = sorted([*self._state.alive, node_id])
                self._state.elect()
