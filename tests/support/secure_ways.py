"""Produces by every way into a cluster, a program of its own:

    python secure_ways.py plain|patched TOPIC

CLIENT_OPTIONS, JSON, has options of a client for each way, by a name. All at once, each does what one does with
a producer, with records that bear the way's name, and looks for some by `all_produced`. The last line printed is
JSON: by way, what it was told of its records; or what went wrong.

It is a script because monkey patching must come before anything else is imported, and is for ever; and before
that, the TLS context that is a user's own is made.
"""

# ruff: noqa: E402

import json
import os
import ssl
import sys

WAYS = json.loads(os.environ["CLIENT_OPTIONS"])


def own_context(ca_file: str, cert_file: str, key_file: str, key_password: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.load_cert_chain(cert_file, key_file, key_password)
    return context


for way in WAYS.values():
    if "context" in way:
        way["tls"] = own_context(**way.pop("context"))

if "patched" in sys.argv[1:]:
    import gevent.monkey

    gevent.monkey.patch_all()

import traceback
from typing import Any

import gevent

from klife import Client, Record
from klife.testing import all_produced, setup
from klife.testing.cluster_users import unsecured_tokens

CODECS = ("gzip", "snappy", "lz4", "zstd")
EACH = 5
PATIENCE = 30.0
TOKEN_SECONDS = 60.0


def each_use(client: Client, topic: str, name: str) -> list[Record]:
    """One record and a wait for it, many, callbacks, keys, headers, a tombstone, and each codec."""
    keys = [b"%d" % number for number in range(EACH)]
    headers = [("way", name.encode()), ("none", None)]
    results = [client.produce(Record(topic, f"{name} one {key}".encode(), key=key, headers=headers)).get(PATIENCE) for key in keys]
    batch = client.produce_batch([Record(topic, f"{name} of many {key}".encode(), key=key) for key in keys]).get(PATIENCE)
    assert [result.partition for result in batch] == [result.partition for result in results], "a key has a partition"
    called: list[Record] = []
    for number in range(EACH):
        client.produce_async(Record(topic, f"{name} called back {number}".encode(), partition=1), called.append)
    tombstone = client.produce(Record(topic, None, key=name.encode()))
    compressed = [
        client.produce_batch([Record(topic, f"{name} {codec} {key}".encode() * 50) for key in keys], producer=codec) for codec in CODECS
    ]
    client.flush(PATIENCE)
    assert [result.value for result in called] == [f"{name} called back {number}".encode() for number in range(EACH)]
    return [*results, *batch, *called, tombstone.get(0), *(result for each in compressed for result in each.get(0))]


RECORDS = EACH * (3 + len(CODECS)) + 1


def produced(topic: str, name: str, way: dict[str, Any]) -> list[Any]:
    """What was written, as `produce` tells it: partition, offset, key, value and headers."""
    if "token_of" in (sasl := way.get("sasl", {})):
        way["sasl"] = {"mechanism": "OAUTHBEARER", "token_provider": unsecured_tokens(sasl["token_of"], TOKEN_SECONDS)}
    producers = [{"name": codec, "compression_type": codec} for codec in CODECS]
    with Client.start(way, producers=producers) as client:
        client.wait_ready(PATIENCE)
        setup(client)
        results = each_use(client, topic, name)
        Record.verify_batch(results)
        assert len(all_produced(client, topic, headers=results[0].headers)) == EACH
    return [repr((each.partition, each.offset, each.key, each.value, tuple(each.headers))) for each in results]


def told(topic: str, name: str, way: dict[str, Any]) -> Any:
    try:
        return produced(topic, name, way)
    except Exception:
        return traceback.format_exc()


if __name__ == "__main__":
    running = {name: gevent.spawn(told, sys.argv[2], name, way) for name, way in WAYS.items()}
    print(json.dumps({name: greenlet.get() for name, greenlet in running.items()}))
