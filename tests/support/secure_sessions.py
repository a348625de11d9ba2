"""Greenlets that produce while the sessions of their connections end and are renewed, a program of its own:

    python -m tests.support.secure_sessions TOPIC SECONDS

CLIENT_OPTIONS, JSON, has options of a client for each mechanism, and for one without (the control). Each has
fifty greenlets, each of which sends the next record when it knows of the last; one client more sends a record at
the beginning and one at the end. The last line printed is JSON: by mechanism, how many records were `sent`, the `longest` wait for
one, and the connections made by then and `since`; `tokens` that were asked for, the `sockets` of the first
second that are left, and those that are new.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import gevent

from klife import Client, Record
from klife.testing.cluster_users import unsecured_tokens
from tests.support.sockets import socket_inodes

GREENLETS = 50
TOKEN_SECONDS = 10.0  # a session that begins late in a token's life is short, and a busy machine must still renew it in time
PAUSE = 0.02  # else two cores have nothing left for the brokers
PATIENCE = 60.0

tokens = 0


def token() -> str:
    global tokens
    tokens += 1
    return unsecured_tokens("klife", TOKEN_SECONDS)()


class Load:
    """One client, and its greenlets."""

    def __init__(self, name: str, topic: str, options: dict[str, Any]) -> None:
        self.name = name
        self.sent = 0
        self.longest = 0.0
        self._topic = topic
        if "token_of" in options.get("sasl", {}):
            options["sasl"] = {"mechanism": "OAUTHBEARER", "token_provider": token}
        self.client = Client.start(options)

    def produce(self, key: bytes) -> None:
        """One record, and wait for it."""
        value = f"{self.name} {self.sent}".encode()
        self.sent += 1
        began = time.monotonic()
        assert self.client.produce(Record(self._topic, value, key=key)).get(PATIENCE).error is None
        self.longest = max(self.longest, time.monotonic() - began)

    def run(self, key: bytes, until: float) -> None:
        while time.monotonic() < until:
            self.produce(key)
            gevent.sleep(PAUSE)

    def connects(self) -> int:
        return sum(broker.connects for broker in self.client.status().brokers)


def main(topic: str, seconds: float) -> None:
    ways: dict[str, dict[str, Any]] = json.loads(os.environ["CLIENT_OPTIONS"])
    idle = Load("idle", topic, dict(ways["SCRAM-SHA-512"]))
    loads = [*(Load(name, topic, options) for name, options in ways.items()), idle]
    keys = [b"%d" % number for number in range(GREENLETS)]
    for load in loads:
        load.client.wait_ready(PATIENCE)
        for key in keys:  # each broker has a connection then
            load.produce(key)
        load.longest = 0.0
    sockets, connects = socket_inodes(), [load.connects() for load in loads]
    until = time.monotonic() + seconds
    gevent.joinall([gevent.spawn(load.run, key, until) for load in loads[:-1] for key in keys], raise_error=True)
    for key in keys:
        idle.produce(key)
    left = socket_inodes()
    told = {
        load.name: {"sent": load.sent, "longest": load.longest, "connects": before, "since": load.connects() - before}
        for load, before in zip(loads, connects, strict=True)
    }
    counts = {"tokens": tokens, "sockets": len(sockets & left), "lost": len(sockets - left), "new": len(left - sockets)}
    for load in loads:
        load.client.stop()
    print(json.dumps({"clients": told, **counts}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
