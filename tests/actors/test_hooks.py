"""What hooks hear of, who calls them, and that nothing they do harms a record."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import gevent
import pytest
from gevent import get_hub, getcurrent

from klife import BufferFull, Client, ConfigError, ProduceError, Record, UnknownTopic
from klife.actors.producer.settlement import Settlement
from klife.api.append import Append
from klife.hooks import Hooks
from klife.protocol.apis.produce import ProduceRequest
from klife.protocol.error_codes import ErrorCode
from tests.support.inside_client import producer_of
from tests.support.scripted_broker import PATIENCE, ScriptedCluster, cut, refuse, silent, throttle
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until

ORDER = Record("orders", b"v", partition=0)
request_id: ContextVar[str] = ContextVar("request_id", default="none")
EVENTS = ("delivered", "failed", "request", "retry", "connection", "throttle", "compression", "buffer_wait", "sample")


class Heard(Hooks):
    """Notes all events, by their names."""

    def __init__(self) -> None:
        self.events: dict[str, list[Any]] = defaultdict(list)


for _name in EVENTS:
    setattr(Heard, f"on_{_name}", lambda self, event, _name=_name: self.events[_name].append(event))


class Stamps(Hooks):
    """Puts a header on each record, and notes who is asked and what was refused."""

    def __init__(self) -> None:
        self.asked_in: list[Any] = []
        self.refused: list[tuple[Any, str]] = []

    def on_produce(self, record: Record) -> Record:
        self.asked_in.append((getcurrent(), threading.get_ident(), request_id.get()))
        return Record(record.topic, record.value, headers=[*record.headers, ("stamp", b"1")], partition=record.partition)

    def on_refused(self, record: Record, error: Any) -> None:
        self.refused.append((record.headers, type(error).__name__))


def test_each_batch_request_and_connection_is_told_with_its_client(start_client: Any) -> None:
    heard = Heard()
    with ScriptedCluster() as cluster:
        client = start_client(cluster, name="shop", hooks=[heard])
        client.produce(ORDER).get(PATIENCE)
        client.produce_batch([ORDER] * 3).get(PATIENCE)
        client.stop(PATIENCE)
    events = heard.events
    assert [each[:5] for each in events["delivered"]] == [
        ("shop", "klife_default_producer", "orders", 0, 1),
        ("shop", "klife_default_producer", "orders", 0, 3),
    ]
    last = events["delivered"][-1]
    assert (last.offset, [result.offset for result in last.results()]) == (1, [1, 2, 3])
    assert last.bytes > 3
    assert 0 < last.seconds < PATIENCE
    assert [each.api for each in events["request"] if each.broker == 1].count("Produce") == 2
    assert all(each.client == "shop" and each.error is None and 0 <= each.seconds < PATIENCE for each in events["request"])
    assert ("shop", 1, cluster[1].address, "ready", None) in events["connection"]
    assert {each.client for each in events["sample"]} == {"shop"}  # the last, at its end
    assert not events["failed"]


def test_failures_retries_throttles_and_lost_connections(start_client: Any) -> None:
    heard = Heard()
    with ScriptedCluster() as cluster:
        client = start_client(cluster, hooks=[heard])
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(ProduceRequest, refuse(ErrorCode.NOT_ENOUGH_REPLICAS), cut, throttle(20))
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(ProduceRequest, refuse(ErrorCode.TOPIC_AUTHORIZATION_FAILED))
        error = client.produce(ORDER).exception(PATIENCE)
        client.stop(PATIENCE)
    assert [(each.topic, each.records, each.attempt) for each in heard.events["retry"]] == [("orders", 1, 1), ("orders", 1, 2)]
    assert "NOT_ENOUGH_REPLICAS" in heard.events["retry"][0].error
    [failed] = heard.events["failed"]
    assert (failed.records, str(failed.error), [str(result.error) for result in failed.results()]) == (1, str(error), [str(error)])
    assert [each.seconds for each in heard.events["throttle"]] == [0.02]
    assert "failed" in [each.state for each in heard.events["connection"]]
    assert [each.api for each in heard.events["request"] if each.error is not None] == ["Produce"]


def test_records_of_one_batch_that_are_refused_for_themselves_are_told_apart(start_client: Any) -> None:
    heard = Heard()
    with ScriptedCluster() as cluster:
        client = start_client(cluster, hooks=[heard])
        client.produce(ORDER).get(PATIENCE)
        cluster[1].script(ProduceRequest, refuse(ErrorCode.INVALID_RECORD, record_errors=_errors_of(1)))
        results = client.produce_batch([Record("orders", b"%d" % number, partition=0) for number in range(3)]).get(PATIENCE)
        client.stop(PATIENCE)
    assert [result.error is None for result in results] == [True, False, True]
    told = [result.value for each in heard.events["delivered"][1:] for result in each.results()]
    [failed] = heard.events["failed"]
    assert (told, [result.value for result in failed.results()]) == ([b"0", b"2"], [b"1"])


def _errors_of(index: int) -> Any:
    from klife.protocol.apis.produce import BatchIndexAndErrorMessage

    return [BatchIndexAndErrorMessage(batch_index=index, batch_index_error_message="not this one")]


def test_compression_and_waits_for_room(start_client: Any) -> None:
    heard = Heard()
    with ScriptedCluster() as cluster:
        impatient = {"max_buffered_bytes": 2000, "max_block_ms": 50, "topics": [{"name": "orders"}]}
        client = start_client(cluster, hooks=[heard], compression_type="gzip", **impatient)
        client.wait_ready(PATIENCE)  # else the topic itself may take longer
        client.produce(Record("orders", bytes(1000), partition=0)).get(PATIENCE)
        cluster[1].always(ProduceRequest, silent)
        client.produce(Record("orders", bytes(1000), partition=0))
        with pytest.raises(BufferFull):
            client.produce(Record("orders", bytes(1000), partition=0))
        client.stop(0)
    compression = heard.events["compression"][0]
    assert (compression.topic, compression.codec) == ("orders", "gzip")
    assert 0 < compression.compressed_bytes < 1000 < compression.bytes
    [wait] = heard.events["buffer_wait"]
    assert (wait.topic, wait.granted) == ("orders", False)
    assert 0.04 < wait.seconds < PATIENCE


def produce(client: Client, record: Record) -> Any:
    return client.produce(record).get(PATIENCE)


def produce_async(client: Client, record: Record) -> Any:
    done = gevent.event.AsyncResult()
    client.produce_async(record, done.set)
    return done.get(timeout=PATIENCE)


def produce_batch(client: Client, record: Record) -> Any:
    return client.produce_batch([record]).get(PATIENCE)[0]


def produce_with_another(client: Client, record: Record) -> Any:
    return client.produce(record, partitioner="of no use" and _First()).get(PATIENCE)


class _First:
    def partition(self, _record: Record, _count: int) -> int:
        return 0


VERBS = [produce, produce_async, produce_batch, produce_with_another]


@pytest.mark.parametrize("verb", VERBS)
def test_a_record_goes_as_the_hook_has_it_and_is_shown_once_by_its_caller(start_client: Any, verb: Callable[..., Any]) -> None:
    stamps = Stamps()
    with ScriptedCluster() as cluster:
        client = start_client(cluster, hooks=[stamps])
        for _ in range(2):  # the first of its topic, and another
            assert verb(client, ORDER).headers == (("stamp", b"1"),)
        assert [asked[0] for asked in stamps.asked_in] == [getcurrent()] * 2
        assert ORDER.headers == ()


@pytest.mark.parametrize("verb", [produce, produce_batch])
def test_from_another_thread_a_record_is_shown_once_and_there(start_client: Any, verb: Callable[..., Any]) -> None:
    stamps = Stamps()
    with ScriptedCluster() as cluster:
        client = start_client(cluster, hooks=[stamps])
        result = get_hub().threadpool.apply(lambda: verb(client, ORDER))
        assert result.headers == (("stamp", b"1"),)
        assert len(stamps.asked_in) == 1
        assert stamps.asked_in[0][1] != threading.get_ident()


def test_what_was_shown_and_not_queued_is_told(start_client: Any) -> None:
    stamps = Stamps()
    with ScriptedCluster() as cluster:
        client = start_client(cluster, hooks=[stamps], max_block_ms=50, topics=[{"name": ORDER.topic}])
        client.wait_ready(PATIENCE)  # else the topic that is there may take longer
        client.produce(ORDER).get(PATIENCE)
        with pytest.raises(UnknownTopic):
            client.produce(Record("nowhere", b"v"))
        results = client.produce_batch([ORDER, Record("nowhere", b"v")]).get(PATIENCE)
        assert [result.error is None for result in results] == [True, False]
    assert [(dict(headers), name) for headers, name in stamps.refused] == [({"stamp": b"1"}, "UnknownTopic")] * 2


class Awaited(Hooks):
    async def on_sample(self, sample: Any) -> None:  # type: ignore[override]
        raise AssertionError("nobody awaits it")


class Broken(Hooks):
    """Fails in every way, everywhere."""

    def on_produce(self, _record: Record) -> Record:
        return None  # type: ignore[return-value]


for _name in EVENTS:
    setattr(Broken, f"on_{_name}", lambda _self, _event: (_ for _ in ()).throw(gevent.Timeout(None)))


def test_hooks_that_raise_are_logged_and_harm_nothing(start_client: Any) -> None:
    heard = Heard()
    with ScriptedCluster() as cluster, told_logs() as told:
        client = start_client(cluster, name="shop", hooks=[Broken(), heard])
        cluster[1].script(ProduceRequest, cut)
        for verb in VERBS:
            assert verb(client, ORDER).offset is not None
        assert [node.restarts for node in client.tree().children] == [0] * len(client.tree().children)
        client.stop(PATIENCE)
        failed = {each["hook"] for each in told if each["event"] == "hook_failed" and each["client"] == "shop"}
    assert "Broken.on_produce" in failed
    assert len(failed) == 2  # the others are all one lambda
    assert sum(each.records for each in heard.events["delivered"]) == len(VERBS)


def test_what_nobody_overrides_costs_nothing(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        for hooks in ([], [Hooks()]):
            client = start_client(cluster, hooks=hooks)
            client.produce(ORDER).get(PATIENCE)
            assert type(client._append) is Append
            assert type(producer_of(client).settlement) is Settlement


@pytest.mark.parametrize(
    ("hooks", "words"),
    [
        ([Awaited()], "on_sample is a coroutine function"),
        ([7], "klife.hooks.Hooks"),
        (Hooks(), "a list"),
        ([Record], "klife.hooks.Hooks"),
        (["Hooks"], "klife.hooks.Hooks"),
    ],
)
def test_what_is_no_hook_is_refused_at_the_start(hooks: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Client.start("localhost:1", hooks=hooks)


def test_a_class_of_hooks_is_made(start_client: Any) -> None:
    with ScriptedCluster() as cluster:
        client = start_client(cluster, hooks=[Stamps])
        assert client.produce(ORDER).get(PATIENCE).headers == (("stamp", b"1"),)


# the context of callbacks


def test_callbacks_run_in_the_context_of_who_gave_them(start_client: Any) -> None:
    seen: list[str] = []

    def callback(_result: object) -> None:
        seen.append(request_id.get())
        request_id.set("of a callback")

    with ScriptedCluster() as cluster:
        client = start_client(cluster)

        def request(number: int) -> None:
            request_id.set(f"request {number}")
            client.produce_async(ORDER, callback)
            client.produce(ORDER).add_done_callback(callback)
            client.produce_batch([ORDER]).add_done_callback(callback)
            client.produce_batch_async([ORDER], callback)
            request_id.set("later")

        gevent.joinall([gevent.spawn(request, number) for number in range(3)], raise_error=True)
        get_hub().threadpool.apply(lambda: (request_id.set("request 3"), client.produce_async(ORDER, callback)))
        client.flush(PATIENCE)
    wait_until(lambda: len(seen) == 13)
    assert sorted(seen) == [f"request {number}" for number in range(3) for _ in range(4)] + ["request 3"]


def test_errors_of_callbacks_are_still_logged(start_client: Any) -> None:
    request_id.set("here")

    def broken(_result: object) -> None:
        raise ProduceError("mine")

    with ScriptedCluster() as cluster, told_logs() as told:
        client = start_client(cluster)
        client.produce_async(ORDER, broken)
        client.flush(PATIENCE)
        assert [each["event"] for each in told if each["event"] == "delivery_callback_failed"] == ["delivery_callback_failed"]
