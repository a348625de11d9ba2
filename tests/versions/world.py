"""What the uses share: the cluster, clients that end with their use, topics of their own, and what must be in
a log.

The log is read by confluent-kafka, and what klife's own tools have no verb for is asked of kafka-python or
Kafka's own command. These wait in calls that know nothing of greenlets, and so are made in native threads.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any, TypeVar

import gevent
from confluent_kafka import KafkaException
from gevent import get_hub

from klife import Client, Record
from klife.admin import AdminError
from klife.testing.cluster import KafkaCluster
from klife.testing.jars import kafka_jars, release
from klife.testing.java import find_java
from tests.support.reader import Read, as_read, read_topic
from tests.support.waiting import wait_until

T = TypeVar("T")

# The topics that appear by themselves belong to a use; quotas are counted over seconds, so that a use can
# wait for them.
CONFIG = {"auto.create.topics.enable": "true", "quota.window.size.seconds": 1, "quota.window.num": 3}
WAIT_SECONDS = 30.0
READ_SECONDS = 5.0
QUOTAS_BY_BROKERS = (2, 6, 0)  # KIP-546; before, clients' quotas are written into ZooKeeper


class World:
    """A cluster of one version, and what is done with it."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self.cluster = cluster
        self.servers = cluster.bootstrap_servers

    @contextlib.contextmanager
    def client(self, **options: Any) -> Iterator[Client]:
        """A client that is ready, and is stopped at the end of the block: at once, where that failed."""
        client = Client.start(self.servers, **options)
        try:
            client.wait_ready(WAIT_SECONDS)
            yield client
        except BaseException:
            client.stop(1)
            raise
        client.stop(WAIT_SECONDS)

    def topic(self, partitions: int = 3, **config: object) -> str:
        """A new topic, of three replicas."""
        name = new_name()
        self.cluster.create_topic(name, partitions, config={key.replace("_", "."): value for key, value in config.items()})
        return name

    def placed_topic(self, name: str, brokers: Sequence[int]) -> None:
        """A topic with one partition on each of these brokers, without copies."""
        in_thread(_create_placed, self.servers, name, brokers)

        def known() -> bool:
            with contextlib.suppress(AdminError):  # brokers learn of a topic one after another
                return [each.leader for each in self.cluster.describe_topic(name)] == list(brokers)
            return False

        wait_until(known)

    def move(self, topic: str, replicas: Mapping[int, Sequence[int]]) -> None:
        """Move partitions to these brokers (KIP-455); returns when their leaders are among them."""
        in_thread(_reassign, self.servers, topic, replicas)

        def moved() -> bool:
            partitions = {each.index: each for each in self.cluster.describe_topic(topic)}
            return all(
                set(partitions[index].replicas) == set(wanted) and partitions[index].leader in wanted
                for index, wanted in replicas.items()
            )

        wait_until(moved)

    def limit(self, client_id: str, bytes_a_second: int) -> None:
        """Give the clients of this id a quota, by Kafka's own command."""
        if release(self.cluster.version) < QUOTAS_BY_BROKERS:
            where = ["--zookeeper", re.findall(r"zookeeper on (127\.0\.0\.1:\d+)", self.cluster.log(1))[-1]]
        else:
            where = ["--bootstrap-server", self.servers]
        what = [
            "--alter",
            "--add-config",
            f"producer_byte_rate={bytes_a_second}",
            "--entity-type",
            "clients",
            "--entity-name",
            client_id,
        ]
        classpath = f"{kafka_jars(self.cluster.version)}/*"
        command = [find_java(), "-XX:TieredStopAtLevel=1", "-cp", classpath, "kafka.admin.ConfigCommand", *where, *what]
        ended = in_thread(lambda: subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False))
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def read(self, topic: str, at_least: int) -> list[Read]:
        """What is in the topic, by partition and offset, as confluent-kafka finds it.

        Below acks "all" the readable end of a log follows the confirmation, and after a move it may ask a
        broker that has not heard of it: so what is less than it should be is looked at again, for some
        seconds.
        """
        deadline = monotonic() + READ_SECONDS
        while True:
            try:
                found = read_topic(self.servers, topic)
            except KafkaException:
                if monotonic() > deadline:
                    raise
            else:
                if len(found) >= at_least or monotonic() > deadline:
                    return found
            gevent.sleep(0.1)


def new_name() -> str:
    return f"versions-{uuid.uuid4().hex[:12]}"


def in_thread(call: Callable[..., T], *arguments: object) -> T:
    """The call's result, from a thread of the system's: the greenlets go on meanwhile."""
    result: T = get_hub().threadpool.apply(call, arguments)
    return result


def raises(kind: type[BaseException], call: Callable[[], object]) -> Any:
    """The exception, which must be raised, and be of this kind."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def equal(found: object, wanted: object, what: str) -> None:
    """The first says what is, the second what must be."""
    assert found == wanted, f"{what}: {found!r}, not {wanted!r}"


def in_the_log_once(results: Sequence[Record], found: Sequence[Read]) -> None:
    """Each delivered record is in the log once, whole, at the place it was told; nothing else is; each log is
    without a gap.
    """
    values = [read.value for read in found]
    doubled = len(values) - len(set(values))
    lost = {result.value for result in results} - set(values)
    foreign = set(values) - {result.value for result in results}
    equal((len(lost), doubled, len(foreign)), (0, 0, 0), f"lost, doubled and foreign records of {len(results)}")
    at = {(read.partition, read.offset): read for read in found}
    for result in results:
        # An offset of None: a resend that the broker knew, and no longer where the first copy went.
        if result.offset is not None:
            equal(at.get((result.partition or 0, result.offset)), as_read(result), "at the place of a delivered record")
    for partition in {read.partition for read in found}:
        offsets = [read.offset for read in found if read.partition == partition]
        equal(offsets, list(range(len(offsets))), f"offsets of partition {partition}")


def in_order(found: Sequence[Read]) -> None:
    """Values are `name:number`; those of a name follow one another in a partition in the order of their
    numbers.
    """
    last: dict[tuple[int, bytes], int] = {}
    for read in found:
        name, _, number = (read.value or b"").partition(b":")
        before, last[read.partition, name] = last.get((read.partition, name), -1), int(number.split(b":")[0])
        assert before < last[read.partition, name], f"record {int(number.split(b':')[0])} of a worker stands behind its {before}"


def _create_placed(servers: str, name: str, brokers: Sequence[int]) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    wanted = NewTopic(name, len(brokers), replica_assignment=[[broker] for broker in brokers], config={"min.insync.replicas": "1"})
    admin = AdminClient({"bootstrap.servers": servers})  # forgotten sooner, it takes its request along
    admin.create_topics([wanted])[name].result(WAIT_SECONDS)


def _reassign(servers: str, topic: str, replicas: Mapping[int, Sequence[int]]) -> None:
    from kafka import KafkaAdminClient, TopicPartition

    admin = KafkaAdminClient(bootstrap_servers=servers.split(","))
    try:
        told = admin.alter_partition_reassignments({TopicPartition(topic, index): list(brokers) for index, brokers in replicas.items()})
        refused = {partition.partition: error for partition, error in told.items() if error is not None}
        assert not refused, f"the partitions cannot be moved: {refused}"
    finally:
        admin.close()
