"""`python -m bench.handshakes`: how long secure connections hold the hub as they are opened, for the table in
docs/speed-notes.md.

A greenlet wants to be woken every 5 ms meanwhile; beside it, a process that does nothing else wants the same
(`bench.ticking`). Each row is done some times over; the median and the worst count.
"""

from __future__ import annotations

import argparse
import base64
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import gevent
import gevent.event

from bench.ticking import TICK_S, Control
from klife import ClientConfig
from klife.actors.network.addresses import Addresses
from klife.actors.network.connector import Connector
from klife.actors.network.errand import Errand
from klife.actors.network.security import Security
from klife.actors.settings import ConnectionSettings
from klife.api.settings import client_settings
from klife.protocol.handshake import Compute
from klife.protocol.sasl.scram import Scram
from klife.testing.cluster import KafkaCluster

_AT_ONCE = 10
_ITERATIONS = 1_000_000
_WITHIN_S = 30

Gap = tuple[float, float, float]  # begin, end, longest of the greenlet's


def connecting(settings: ConnectionSettings, security: Security, address: str, at_once: int) -> None:
    """So many connections at once; each ready, or refused."""
    host, _, port = address.rpartition(":")
    left = [at_once]
    all_done = gevent.event.Event()

    def done() -> None:
        left[0] -= 1
        if not left[0]:
            all_done.set()

    connectors = [Connector(Addresses(host), int(port), settings, security, done) for _ in range(at_once)]
    if not all_done.wait(_WITHIN_S):
        raise TimeoutError(f"{left[0]} of {at_once} connections were not through within {_WITHIN_S} s")
    for connector in connectors:
        connector.drop()


def proving() -> None:
    """What SCRAM works out of the dearest password that klife accepts."""
    exchange = Scram("SCRAM-SHA-512", "user", "password").exchange("localhost")
    first = exchange.start()
    assert isinstance(first, bytes)
    nonce = first.rpartition(b"r=")[2]
    wish = exchange.answered(b"r=%s0,s=%s,i=%d" % (nonce, base64.b64encode(b"salt"), _ITERATIONS))
    assert isinstance(wish, Compute)
    done = gevent.event.Event()
    errand = Errand(wish, None, done.set)  # type: ignore[arg-type]
    if not done.wait(_WITHIN_S) or errand.failure is not None:
        raise RuntimeError(f"the password was not salted: {errand.failure}")


def watched(do: Callable[[], None]) -> Gap:
    """Do it, and say how late a neighbour was woken at the worst."""
    longest = [0.0]

    def tick() -> None:
        while True:
            before = time.perf_counter()
            gevent.sleep(TICK_S)
            longest[0] = max(longest[0], time.perf_counter() - before - TICK_S)

    neighbour = gevent.spawn(tick)
    gevent.sleep(4 * TICK_S)
    longest[0] = 0.0
    begin = time.perf_counter()
    do()
    gevent.sleep(2 * TICK_S)
    end = time.perf_counter()
    neighbour.kill()
    return begin, end, longest[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.handshakes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds

    def settings(cluster: KafkaCluster, tls: Any) -> ConnectionSettings:
        config = ClientConfig.build(bootstrap_servers=cluster.bootstrap_servers_for("SSL"), tls=tls)
        return client_settings(config, "bench").connection

    with KafkaCluster(1, listeners=("PLAINTEXT", "SSL"), config={"ssl.client.auth": "required"}) as cluster, Control() as control:
        address = cluster.bootstrap_servers_for("SSL")
        own, system = settings(cluster, cluster.tls_for("SSL")), settings(cluster, True)
        shared = Security(own)
        connecting(own, shared, address, 1)  # the broker's first handshake takes a second
        rows: dict[str, Callable[[], None]] = {
            "nothing": lambda: gevent.sleep(0.1),
            f"{_AT_ONCE} connections at once, with client certificates": lambda: connecting(own, shared, address, _AT_ONCE),
            "the first use of the system's store": lambda: connecting(system, Security(system), address, 1),
            f"a SCRAM password of {_ITERATIONS:,} iterations": proving,
        }
        gaps: dict[str, list[Gap]] = {name: [] for name in rows}
        for _ in range(rounds):
            for name, do in rows.items():
                gaps[name].append(watched(do))
    print("| | woken late by ms, median | worst | beside it, median | worst |\n|---|---:|---:|---:|---:|")
    for name, found in gaps.items():
        own_ms = [longest * 1000 for _, _, longest in found]
        beside = [control.longest(begin, end) * 1000 for begin, end, _ in found]
        print(f"| {name} | {median(own_ms):.1f} | {max(own_ms):.1f} | {median(beside):.1f} | {max(beside):.1f} |")


if __name__ == "__main__":
    main()
