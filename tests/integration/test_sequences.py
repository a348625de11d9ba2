"""Real brokers agree with how batches are numbered where the numbers end."""

from __future__ import annotations

from time import monotonic

from klife import Record
from klife.actors import engines
from klife.actors.producer.producers import Producers
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient


def test_sequence_numbers_go_on_at_0_after_the_last(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    name = make_topic(1)
    client = start_client(max_in_flight_requests=5)
    engine = engines.find(client.name)
    assert engine is not None
    producers = engine.part(Producers)
    topic = producers.topic(name, None, monotonic() + 30)
    partition = topic.partition(0)
    # A broker that knows nothing of a producer takes any sequence as its first; so the end is near without
    # 2**31 records.
    producer = producers.named(engine.settings.default_producer)
    partition.identity, partition.next_sequence = producer.identity, 2**31 - 5
    values = [b"%d" % number for number in range(20)]
    for number in range(0, 20, 4):  # the second batch begins before the end and ends behind it
        assert all(
            result.error is None for result in client.produce_batch([Record(name, v) for v in values[number : number + 4]]).get(30)
        )
    assert [each.value for each in read_back(name)] == values
    assert partition.next_sequence == 15
    assert partition.identity is not None
    assert partition.identity.epoch == 0, "no sequence was lost"
