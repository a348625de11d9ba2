"""uWSGI with gevent, as docs/web-workers.md has it, and real brokers: its workers are forked in C, and end
without Python's exit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from klife.testing.cluster import KafkaCluster
from tests.support.reader import read_topic
from tests.support.web_load import Load
from tests.support.web_service import WORKERS, uwsgi

MakeTopic = Callable[[], str]

SHOP = """
import json, os
from klife import Client, ClientConfig, Record

TOPIC = os.environ["TOPIC"]
client = Client.start(ClientConfig.from_env())
client.produce(Record(TOPIC, b"from where the application was loaded")).get()

def app(environ, start_response):
    order = client.produce(Record(TOPIC, environ["wsgi.input"].read())).get()
    start_response("201 Created", [("Content-Type", "application/json"), ("Connection", "close")])
    producer = client.status().producers[0].producer_id
    return [json.dumps({"partition": order.partition, "offset": order.offset, "pid": os.getpid(), "producer": producer}).encode()]
"""


@pytest.mark.parametrize("options", [(), ("--lazy-apps",), ("--py-call-uwsgi-fork-hooks",)], ids=" ".join)
def test_every_order_is_where_its_answer_says_however_workers_are_forked(
    options: tuple[str, ...], kafka_cluster: KafkaCluster, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic()
    (tmp_path / "shop.py").write_text(SHOP)
    with uwsgi(kafka_cluster.bootstrap_servers, tmp_path, *options, environ={"TOPIC": topic}) as service:
        loaded = WORKERS if "--lazy-apps" in options else 1
        service.wait_for_lines(r"WSGI app 0 .* ready in", loaded)  # a worker that still loads does not hear the signal
        load = Load(service, "/", 25)
        load.wait()
        service.terminate_now()
        assert service.wait() == 0
        assert (load.statuses, load.unanswered) == ({201}, 0)
        answers = [json.loads(answer) for _, answer in load.answered.values()]
        assert len({answer["pid"] for answer in answers}) == WORKERS
        producers = {(answer["producer"], answer["pid"]) for answer in answers}
        assert len({producer for producer, _ in producers}) == len(producers), "no worker has another's producer id"
        found = read_topic(kafka_cluster.bootstrap_servers, topic)
        assert {(each.partition, each.offset): each.value for each in found}.items() >= load.places.items()
        assert sorted(each.value or b"" for each in found) == sorted(
            [*load.answered, *[b"from where the application was loaded"] * loaded]
        )


CLICKS = """
import os, uwsgi
from klife import Client, ClientConfig, Record

uwsgi.post_fork_hook = lambda: print("forked", uwsgi.worker_id(), flush=True)
{at_exit}
client = Client.start(ClientConfig.from_env(), linger_ms=60_000, delivery_timeout_ms=90_000)

def app(environ, start_response):
    client.produce_async(Record(os.environ["TOPIC"], environ["wsgi.input"].read()))
    start_response("202 Accepted", [("Content-Length", "0"), ("Connection", "close")])
    return []
"""
STOPS = "uwsgi.atexit = lambda: print(client.stop(timeout=25), flush=True)"


@pytest.mark.parametrize(("at_exit", "said"), [("", "all is delivered now"), (STOPS, "StopReport(delivered=")])
def test_what_is_queued_when_a_worker_ends_is_delivered_and_the_users_hooks_run(
    at_exit: str, said: str, kafka_cluster: KafkaCluster, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic()
    (tmp_path / "shop.py").write_text(CLICKS.format(at_exit=at_exit))
    with uwsgi(kafka_cluster.bootstrap_servers, tmp_path, environ={"TOPIC": topic}) as service:
        load = Load(service, "/", 5)
        load.wait()
        service.terminate_now()
        assert service.wait() == 0
        assert (load.statuses, load.unanswered) == ({202}, 0)
        assert sorted(each.value or b"" for each in read_topic(kafka_cluster.bootstrap_servers, topic)) == sorted(load.answered)
        assert said in service.log
        assert all(f"forked {worker}\n" in service.log for worker in range(1, WORKERS + 1))
