"""Each setting of a producer does what it says, seen on the real brokers and on the way to them."""

from __future__ import annotations

import struct
from time import monotonic
from typing import Any

import gevent
import pytest
from gevent.event import Event

from klife import BufferFull, Client, Record
from klife.protocol import connection
from klife.testing.cluster import KafkaCluster
from tests.support.on_cluster import MakeTopic, ReadBack, StartClient
from tests.support.reader import as_read, codecs_in
from tests.support.waiting import wait_until_known

PRODUCE = 0  # the request's api key


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Client id and acks of each produce request, taken from the bytes that go to the sockets."""
    requests: list[tuple[str, int]] = []
    encode_request = connection.encode_request

    def spy(*args: Any) -> Any:
        buffers = encode_request(*args)
        data = b"".join(buffers)
        api_key, version, _, id_size = struct.unpack_from(">4xhhih", data)
        if api_key == PRODUCE:
            assert version >= 9, "the layout below is that of the flexible versions"
            end_of_id = 14 + id_size
            _no_tags, _no_transaction, acks = struct.unpack_from(">bbh", data, end_of_id)
            requests.append((data[14:end_of_id].decode(), acks))
        return buffers

    monkeypatch.setattr(connection, "encode_request", spy)
    return requests


@pytest.mark.parametrize(("acks", "on_the_wire"), [("all", -1), (1, 1), (0, 0)])
def test_acks_go_over_the_wire_and_records_arrive(
    start_client: StartClient,
    make_topic: MakeTopic,
    read_back: ReadBack,
    sent: list[tuple[str, int]],
    acks: object,
    on_the_wire: int,
) -> None:
    client = start_client(acks=acks)
    topic = make_topic(3)
    results = Record.verify_batch(client.produce_batch([Record(topic, b"%d" % n, partition=n % 3) for n in range(300)]).get(30))
    assert {acks for _, acks in sent} == {on_the_wire}
    found = read_back(topic, 300)
    for partition in range(3):
        assert [int(read.value or b"") for read in found if read.partition == partition] == list(range(partition, 300, 3))
    if acks == 0:
        assert {(result.offset, result.error_code) for result in results} == {(None, 0)}, "the broker tells nothing"
    else:
        assert sorted(map(as_read, results), key=lambda read: read[1:3]) == found


def test_without_idempotence_no_producer_id_is_asked_for_and_order_is_kept(
    kafka_cluster: KafkaCluster, start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    client = start_client(enable_idempotence=False, max_in_flight_requests=5, batch_size_bytes=2_000)
    topic = make_topic(2)
    for number in range(1_000):
        client.produce_async(Record(topic, b"%d" % number, partition=number % 2))
    client.flush(30)
    assert client.status().producers[0].producer_id is None
    found = read_back(topic)
    for partition in range(2):
        assert [int(read.value or b"") for read in found if read.partition == partition] == list(range(partition, 1_000, 2))


def test_producers_of_a_client_have_settings_and_ids_of_their_own(
    kafka_cluster: KafkaCluster,
    start_client: StartClient,
    make_topic: MakeTopic,
    read_back: ReadBack,
    sent: list[tuple[str, int]],
) -> None:
    client = start_client(
        name="shop",
        acks=1,
        producers=[
            {"name": "safe", "acks": "all", "client_id": "safe-one"},
            {"name": "small", "compression_type": "zstd", "compression_level": 3},
        ],
    )
    topics = {name: make_topic(1) for name in ("safe", "small", "default")}
    client.produce(Record(topics["safe"], b"v"), producer="safe").get(30)
    client.produce(Record(topics["small"], b"v" * 500), producer="small").get(30)
    client.produce(Record(topics["default"], b"v")).get(30)
    assert sent == [
        ("safe-one", -1),
        ("klife_producer.shop.small", 1),
        ("klife_producer.shop.klife_default_producer", 1),
    ]
    for topic in topics.values():
        assert len(read_back(topic, 1)) == 1
    with kafka_cluster.admin() as admin:
        assert [codecs_in(admin, topic) for topic in topics.values()] == [{0}, {4}, {0}]
    by_name = {producer.name: producer for producer in client.status().producers}
    assert {name: producer.delivered for name, producer in by_name.items()} == {"safe": 1, "small": 1, "klife_default_producer": 1}


def test_idempotent_producers_have_different_ids(start_client: StartClient) -> None:
    client = start_client(producers=[{"name": "a"}, {"name": "b"}])
    ids = {producer.producer_id for producer in client.status().producers}
    assert len(ids) == 3
    assert None not in ids


def test_a_topic_has_its_default_producer_and_a_call_overrides_it(start_client: StartClient, make_topic: MakeTopic) -> None:
    special, ordinary = make_topic(1), make_topic(1)
    client = start_client(
        producers=[{"name": "a"}, {"name": "b"}, {"name": "c"}],
        default_producer="a",
        topics=[{"name": special, "default_producer": "b"}],
    )
    client.produce_batch([Record(special, b"v")] * 3 + [Record(ordinary, b"v")] * 2).get(30)
    client.produce(Record(special, b"v"), producer="c").get(30)
    client.produce(Record(special, b"v")).get(30)
    assert {producer.name: producer.delivered for producer in client.status().producers} == {"a": 2, "b": 4, "c": 1}


def test_a_full_buffer_raises_at_once_where_asked_and_what_was_accepted_arrives(
    start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack
) -> None:
    client = start_client(on_buffer_full="raise", max_buffered_bytes=50_000, linger_ms=20_000)
    topic = make_topic(1)
    client.partitions(topic)
    while client.status().buffered_bytes < 48_900:
        client.produce_async(Record(topic, bytes(1_000)))
    accepted = client.status().producers[0].unsettled
    began = monotonic()
    with pytest.raises(BufferFull, match="of max_buffered_bytes 50000 are waiting to be delivered") as raised:
        client.produce_async(Record(topic, bytes(2_000)))
    assert monotonic() - began < 30
    assert raised.value.retriable
    assert 40 <= accepted <= 50
    client.flush(30)
    assert len(read_back(topic)) == accepted
    assert client.status().buffered_bytes == 0


def test_a_full_buffer_blocks_until_max_block_ms(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    topic = make_topic(1)
    client = start_client(max_buffered_bytes=50_000, linger_ms=20_000, max_block_ms=400, topics=[{"name": topic}])
    wait_until_known(client, topic)
    # Callbacks that do not end keep the buffer full: their records' bytes come free when they begin.
    let_go = Event()
    called = Event()

    def hold(_record: Record) -> None:
        called.set()
        let_go.wait()

    client.produce_async(Record(topic, b"first"), hold)
    flushing = gevent.spawn(client.flush, 30)
    assert called.wait(30)
    while client.status().buffered_bytes < 48_000:
        client.produce_async(Record(topic, bytes(1_000)), lambda _record: None)
    began = monotonic()
    with pytest.raises(BufferFull, match=r"no room for .* bytes came free within max_block_ms \(400 ms\)"):
        client.produce(Record(topic, bytes(10_000)))
    assert 0.4 <= monotonic() - began < 30
    let_go.set()
    flushing.get(timeout=30)
    client.flush(30)
    assert len(read_back(topic)) == client.status().producers[0].delivered


def test_blocked_greenlets_go_on_when_room_comes_free(start_client: StartClient, make_topic: MakeTopic, read_back: ReadBack) -> None:
    client: Client = start_client(max_buffered_bytes=20_000, linger_ms=20)
    topic = make_topic(3)
    most = 0

    def work(worker: int) -> None:
        nonlocal most
        for number in range(40):
            client.produce_async(Record(topic, b"%02d-%03d" % (worker, number) + bytes(1_000), partition=worker % 3))
            most = max(most, client.status().waiting_for_buffer)

    gevent.joinall([gevent.spawn(work, worker) for worker in range(12)], raise_error=True)
    client.flush(30)
    assert most > 0, "somebody had to wait"
    found = read_back(topic)
    assert len(found) == 12 * 40
    for worker in range(12):
        numbers = [int((read.value or b"")[3:6]) for read in found if (read.value or b"").startswith(b"%02d-" % worker)]
        assert numbers == list(range(40))
