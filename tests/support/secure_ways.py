"""Produces by every way into a cluster, a program of its own:

    python secure_ways.py plain|patched TOPIC

CLIENT_OPTIONS, JSON, has options of a client for each way, by a name. All at once, each sends some records,
which bear the way's name, and finds them by `all_produced`. The last line printed is JSON: by way, the
partitions, offsets and values of what it was told; or what went wrong.

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

RECORDS = 20
PATIENCE = 30.0
TOKEN_SECONDS = 60.0


def produced(topic: str, name: str, way: dict[str, Any]) -> list[tuple[int | None, int | None, str]]:
    """What was written, as `produce` tells it."""
    if "token_of" in (sasl := way.get("sasl", {})):
        way["sasl"] = {"mechanism": "OAUTHBEARER", "token_provider": unsecured_tokens(sasl["token_of"], TOKEN_SECONDS)}
    with Client.start(way) as client:
        client.wait_ready(PATIENCE)
        setup(client)
        records = [Record(topic, f"{name} {number}".encode(), key=b"%d" % number) for number in range(RECORDS)]
        results = [client.produce(record).get(PATIENCE) for record in records[:5]] + client.produce_batch(records[5:]).get(PATIENCE)
        found = {record.value for record in all_produced(client, topic)} & {record.value for record in records}
        assert len(found) == RECORDS, f"all_produced finds {len(found)}"
    return [(result.partition, result.offset, (result.value or b"").decode()) for result in results]


def told(topic: str, name: str, way: dict[str, Any]) -> Any:
    try:
        return produced(topic, name, way)
    except Exception:
        return traceback.format_exc()


if __name__ == "__main__":
    running = {name: gevent.spawn(told, sys.argv[2], name, way) for name, way in WAYS.items()}
    print(json.dumps({name: greenlet.get() for name, greenlet in running.items()}))
