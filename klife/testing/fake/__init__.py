"""A Kafka in the test's own process, for tests of applications: no Java, no waiting.

    from klife.testing.fake import FakeCluster

    with FakeCluster(topics={"orders": 3}) as kafka, Client.start(kafka.bootstrap_servers) as client:
        client.produce(Record(topic="orders", value=b"1")).get()
        assert [record.value for record in kafka.records("orders")] == [b"1"]

It listens on real sockets, in a thread of its own, and speaks Kafka's protocol, so that other clients can use
it, too. What it does not have is everything behind that: replicas, disks, consumer groups, security. Tests of
those want a real one (`klife.testing.cluster`).
"""

from klife.testing.fake.cluster import FakeCluster

__all__ = ["FakeCluster"]
