"""Brokers that answer SCRAM with what no honest one says: refused as soon as it is there, and not at a deadline;
and silence, which is given up at the deadline.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from klife.protocol.apis.sasl_authenticate import SaslAuthenticateRequest
from klife.protocol.apis.sasl_handshake import SaslHandshakeRequest
from tests.support.inside_client import broker_status, tells_why_it_is_not_ready
from tests.support.scripted_broker import ScriptedCluster, Step, good, malformed, oversized, silent
from tests.support.scripted_sasl import ScriptedSasl
from tests.support.waiting import wait_until

SCRAM = {"mechanism": "SCRAM-SHA-256", "username": "klife", "password": "klife-secret"}
NEVER_MS = 600_000
REFUSED_CPU_SECONDS = 0.1  # of this thread, which is all that the client has; another one may have the processor meanwhile


def says(change: Callable[[bytes], bytes]) -> Step:
    """Answer with what an honest broker says, changed."""

    def step(exchange: Any) -> None:
        response = exchange.good_answer()
        response.auth_bytes = change(bytes(response.auth_bytes))
        exchange.send(response)

    return step


def iterations(count: int) -> Step:
    return says(lambda message: re.sub(rb"i=\d+", b"i=%d" % count, message))


HOSTILE: dict[str, tuple[list[Step], str]] = {
    "another nonce": ([says(lambda message: message.replace(b"r=", b"r=x"))], "nonce does not go on from ours"),
    "2^31 iterations": ([iterations(2**31)], 'wants "2147483648" iterations'),
    "1 iteration": ([iterations(1)], 'wants "1" iterations'),
    "bytes": ([says(lambda _: b"\xff\xfe\0")], "is no text"),
    "10 KB": ([says(lambda _: b"r=" + 10_000 * b"x")], "has 10002 bytes"),
    "1 MB": ([says(lambda _: b"r=" + 1_000_000 * b"x")], "a frame claims 10000.. bytes, the limit is 65536"),
    "nothing": ([says(lambda _: b"")], "lacks nonce, salt or iterations"),
    "a wrong signature": ([good, says(lambda message: b"v=" + message[:1:-1])], "impostor|not base64"),
    "no signature": ([good, says(lambda _: b"")], "gave none of its own"),
    "a frame of 2 GiB": ([oversized], "a response was not understood.*2147483647"),
    "half a message": ([malformed], "a response was not understood"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_it_is_refused_when_it_is_there(start_client: Any, what: str) -> None:
    steps, told = HOSTILE[what]
    said_at: list[float] = []

    def last(exchange: Any) -> None:
        said_at.append(time.thread_time())
        steps[-1](exchange)

    with ScriptedCluster(sasl=ScriptedSasl(("SCRAM-SHA-256",))) as cluster:
        cluster[1].script(SaslAuthenticateRequest, *steps[:-1], last)
        # No deadline, no second attempt: nothing but the answer itself can end the first.
        client = start_client(
            cluster, sasl=SCRAM, connect_timeout_ms=NEVER_MS, reconnect_backoff_ms=NEVER_MS, reconnect_backoff_max_ms=NEVER_MS
        )
        wait_until(lambda: said_at and broker_status(client, None).state == "disconnected")
        assert time.thread_time() - said_at[0] < REFUSED_CPU_SECONDS
        assert re.search(told, broker_status(client, None).last_error)


@pytest.mark.parametrize(("asked", "before"), [(SaslHandshakeRequest, 0), (SaslAuthenticateRequest, 0), (SaslAuthenticateRequest, 1)])
def test_silence_is_given_up_at_the_deadline(start_client: Any, asked: Any, before: int) -> None:
    with ScriptedCluster(sasl=ScriptedSasl(("SCRAM-SHA-256",))) as cluster:
        for _ in range(20):
            cluster[1].script(asked, *before * [good], silent)
        client = start_client(cluster, sasl=SCRAM, connect_timeout_ms=100)
        tells_why_it_is_not_ready(client, r"the handshake was not through within 0\.1 s")
