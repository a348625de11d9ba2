"""Produces by every way into a cluster, a program of its own:

    python secure_ways.py plain|patched < WAYS

WAYS is JSON: the `topic`, and for each of the `ways`, by a name, where and how a client connects. All at
once, each sends some records, which bear the way's name, and finds them by `all_produced`. Prints, by way,
the partitions, offsets and values of what it was told; or what went wrong.

It is a script because monkey patching must come before anything else is imported, and is for ever; and before
that, the TLS context that is a user's own is made.
"""

import json
import ssl
import sys

ASKED = json.load(sys.stdin)


def own_context(files: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files["ca_file"])
    context.load_cert_chain(files["cert_file"], files["key_file"], files.get("key_password"))
    return context


CONTEXTS = {name: own_context(way["context"]) for name, way in ASKED["ways"].items() if "context" in way}

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


def produced(name: str, way: dict[str, Any]) -> list[tuple[int | None, int | None, str]]:
    """What was written, as `produce` tells it."""
    options = {"tls": CONTEXTS.get(name, way.get("tls", False)), "sasl": way.get("sasl")}
    if "token_of" in way:
        options["sasl"] = {"mechanism": "OAUTHBEARER", "token_provider": unsecured_tokens(way["token_of"], 60.0)}
    with Client.start(way["servers"], **options) as client:
        client.wait_ready(30)
        setup(client)
        records = [Record(ASKED["topic"], f"{name} {number}".encode(), key=b"%d" % number) for number in range(RECORDS)]
        results = [client.produce(record).get(30) for record in records[:5]] + client.produce_batch(records[5:]).get(30)
        mine = {record.value for record in all_produced(client, ASKED["topic"])} & {record.value for record in records}
        assert len(mine) == RECORDS, f"all_produced finds {len(mine)}"
    return [(result.partition, result.offset, (result.value or b"").decode()) for result in results]


def told(name: str, way: dict[str, Any]) -> Any:
    try:
        return produced(name, way)
    except Exception:
        return traceback.format_exc()


if __name__ == "__main__":
    running = {name: gevent.spawn(told, name, way) for name, way in ASKED["ways"].items()}
    json.dump({name: greenlet.get() for name, greenlet in running.items()}, sys.stdout)
