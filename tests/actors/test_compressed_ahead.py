"""What waits behind a request is compressed meanwhile: which batches, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import get_ident
from typing import Any

import pytest
from gevent.event import Event
from gevent.monkey import get_original

from klife import Client, Delivery, ProduceError, Record
from klife.actors.producer import compressed_ahead, request
from klife.actors.producer.batch import Batch
from klife.actors.producer.compressed_ahead import WORTH_IT, compress_ahead, worth_ahead
from klife.protocol import codecs
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.error_codes import ErrorCode
from tests.support.inside_client import let_deadlines_pass, named, producer_of
from tests.support.producer_parts import Parts
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, after, cut, refuse
from tests.support.waiting import wait_until

_new_lock = get_original("_thread", "allocate_lock")

LARGE = WORTH_IT + 8_000


# which


def of(parts: Parts, room: int = 512_000) -> list[tuple[int, int]]:
    """The batches that are worth it, each by its partition and its ordinal there."""
    return [(batch.partition_id, batch.ordinal) for batch in worth_ahead(parts.batcher().ready, parts.batcher(), room)]


def test_the_oldest_closed_batch_of_each_partition_that_is_ready() -> None:
    parts = Parts([1, 1, 2])
    for partition in (1, 0, 1, 2):
        parts.batch(partition=partition, size=LARGE)
    assert of(parts) == [(1, 1), (0, 1)]


def test_not_an_open_batch_which_grows() -> None:
    parts = Parts([1, 1])
    parts.topic.append(Record("t", bytes(LARGE), partition=0))
    parts.batch(partition=1, size=LARGE)
    assert of(parts) == [(1, 1)]


def test_not_a_small_batch() -> None:
    parts = Parts([1, 1])
    parts.batch(partition=0)
    parts.batch(partition=1, size=LARGE)
    assert of(parts) == [(1, 1)]


def test_no_more_than_there_is_room_for() -> None:
    parts = Parts([1, 1, 1])
    for partition in range(3):
        parts.batch(partition=partition, size=LARGE)
    assert of(parts, 3 * LARGE) == [(0, 1), (1, 1)]
    assert of(parts, LARGE) == []


def test_what_is_open_or_small_takes_room_too() -> None:
    parts = Parts([1, 1])
    parts.topic.append(Record("t", bytes(LARGE), partition=0))
    parts.batch(partition=1, size=LARGE)
    assert of(parts, 2 * LARGE) == []


@pytest.mark.parametrize("how", ["ahead", "wire", "settled"])
def test_not_what_is_made_or_settled_already(how: str) -> None:
    parts = Parts([1])
    batch = parts.batch(size=LARGE)
    if how == "settled":
        batch.is_set = True
    else:
        setattr(batch, how, (b"made",))
    assert of(parts) == []


def test_not_what_has_moved_to_another_broker() -> None:
    parts = Parts([1, 1])
    for partition in range(2):
        parts.batch(partition=partition, size=LARGE)
    batcher, ready = parts.batcher(), list(parts.batcher().ready)
    parts.apply([2, 1])
    assert [batch.partition_id for batch in worth_ahead(ready, batcher, 512_000)] == [1]


def test_no_more_is_made_ahead_than_two_requests_take_whatever_changes_places() -> None:
    parts = Parts([1] * 4, codec=codecs.CODECS["snappy"], batch_size_bytes=LARGE + 500)
    batches = [parts.batch(partition=partition, size=LARGE) for partition in range(4)]
    batcher, settings, budget = parts.batcher(), parts.producer.settings, parts.producer.budget
    compress_ahead(batcher, settings, budget)
    assert [batch.ahead is not None for batch in batches] == [True, True, False, False]
    batcher.ready.rotate(2)
    compress_ahead(batcher, settings, budget)
    assert [batch.ahead is not None for batch in batches] == [True, True, False, False]
    parts.failed(batches[0], ProduceError("no"))
    compress_ahead(batcher, settings, budget)
    assert [batch.ahead is not None for batch in batches] == [False, True, True, False]


# what becomes of them


class Scene:
    """A client that has two batches behind a request, which is not answered before `let_go` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, client: Client, cluster: ScriptedCluster) -> None:
        self.monkeypatch, self.client, self.cluster = monkeypatch, client, cluster
        self.calls: list[tuple[bytes, bool]] = []  # a letter of each payload that was compressed, and whether here
        self.begun, self.goes_on = _new_lock(), _new_lock()  # of what the thread compresses
        self.begun.acquire()
        self.goes_on.acquire()
        self.error: Exception | None = None
        self.holds = False
        for module in (compressed_ahead, request):
            monkeypatch.setattr(module, "compress", self._compress)

    def _compress(self, codec: int, data: bytes, level: int | None) -> bytes:
        here = get_ident() == self.home
        self.calls.append((data[-2:-1], here))
        if not here:
            if self.holds:
                self.begun.release()
                assert self.goes_on.acquire(timeout=PATIENCE)
            if self.error is not None:
                raise self.error
        return codecs.compress(codec, data, level)

    home = get_ident()

    def behind_a_request(self, *steps: Any) -> tuple[Event, list[Delivery]]:
        """Values a, b, c and d: a and b are sent, and b is not answered before the event is set; then `steps` answer."""
        first, let_go = Event(), Event()
        self.cluster[1].script(ProduceRequest, after(first), after(let_go), *steps)
        deliveries = [self.produce(b"a")]
        self.cluster[1].wait_for(ProduceRequest, 1)
        deliveries += [self.produce(letter) for letter in (b"b", b"c", b"d")]
        first.set()
        self.cluster[1].wait_for(ProduceRequest, 2)
        return let_go, deliveries

    def produce(self, letter: bytes) -> Delivery:
        return self.client.produce(Record("orders", letter * LARGE))

    @property
    def ahead(self) -> list[Batch]:
        """The batches that are, or are to be, compressed ahead."""
        return [batch for batch in producer_of(self.client).deadlines.pending if batch.ahead is not None]

    def made(self, letter: bytes) -> list[bool]:
        """Where the batch was compressed: here, or not."""
        return [here for each, here in self.calls if each == letter]


@pytest.fixture
def cluster() -> Iterator[ScriptedCluster]:
    with ScriptedCluster() as cluster:
        yield cluster


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, start_client: Callable[..., Client], cluster: ScriptedCluster) -> Scene:
    client = start_client(cluster, compression_type="snappy", batch_size_bytes=LARGE + 1000, max_in_flight_requests=1)
    return Scene(monkeypatch, client, cluster)


VALUES = [letter * LARGE for letter in (b"a", b"b", b"c", b"d")]


def all_delivered(scene: Scene, deliveries: list[Delivery]) -> None:
    assert [delivery.get(PATIENCE).offset for delivery in deliveries] == [0, 1, 2, 3]
    assert scene.cluster.log("orders") == VALUES


def test_the_next_batch_is_compressed_in_another_thread_and_not_again(scene: Scene) -> None:
    let_go, deliveries = scene.behind_a_request()
    (batch,) = scene.ahead
    wait_until(lambda: batch.ahead.job._outcome)
    let_go.set()
    all_delivered(scene, deliveries)
    assert [scene.made(letter) for letter in (b"a", b"b", b"c")] == [[True], [True], [False]]
    assert not scene.ahead


def test_a_batch_that_is_just_being_compressed_is_waited_for(scene: Scene) -> None:
    scene.holds = True
    let_go, deliveries = scene.behind_a_request()
    assert scene.begun.acquire(timeout=PATIENCE)
    let_go.set()
    wait_until(lambda: scene.ahead[0].ahead.job._woken)
    scene.holds = False
    scene.goes_on.release()
    all_delivered(scene, deliveries)
    assert scene.made(b"c") == [False]


def test_a_batcher_killed_while_it_waits_leaves_all_to_its_successor(scene: Scene) -> None:
    scene.holds = True
    let_go, deliveries = scene.behind_a_request()
    assert scene.begun.acquire(timeout=PATIENCE)
    let_go.set()
    (batch,) = scene.ahead
    wait_until(lambda: batch.ahead.job._woken)
    named(scene.client, "batcher 1.0").kill()
    scene.holds = False
    scene.goes_on.release()
    all_delivered(scene, deliveries)
    assert scene.made(b"c") == [False]
    assert batch.ahead is None
    assert batch.wire is None


def test_an_error_of_the_codec_fails_its_batch_and_no_other(scene: Scene) -> None:
    scene.error = OSError("no codec today")
    let_go, deliveries = scene.behind_a_request()
    (batch,) = scene.ahead
    wait_until(lambda: batch.ahead.job._outcome)
    scene.error = None
    let_go.set()
    with pytest.raises(ProduceError, match="could not be encoded: no codec today"):
        deliveries[2].get(PATIENCE)
    assert [deliveries[number].get(PATIENCE).error for number in (0, 1, 3)] == [None] * 3
    assert batch.ahead is None


def test_what_expires_lets_go_of_its_payload(scene: Scene) -> None:
    let_go, deliveries = scene.behind_a_request()
    (batch,) = scene.ahead
    let_deadlines_pass(scene.client)
    assert batch.ahead is None
    let_go.set()
    with pytest.raises(ProduceError):
        deliveries[2].get(PATIENCE)


@pytest.mark.parametrize(
    "step", [refuse(ErrorCode.NOT_LEADER_OR_FOLLOWER), cut, refuse(ErrorCode.UNKNOWN_PRODUCER_ID)], ids=["refused", "cut", "renumbered"]
)
def test_what_is_sent_again_or_under_other_sequences_is_delivered_once(scene: Scene, step: Any) -> None:
    let_go, deliveries = scene.behind_a_request(step)
    let_go.set()
    all_delivered(scene, deliveries)
