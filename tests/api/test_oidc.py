"""`klife.oidc.ClientCredentials`, against a token endpoint on this machine."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import time
import traceback
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gevent
import pytest
import urllib3
from gevent import get_hub
from gevent.server import StreamServer

from klife import KlifeError
from klife.oidc import LARGEST_ANSWER_BYTES, ClientCredentials, TokenRefused
from tests.support.cli_command import environment
from tests.support.token_endpoint import TokenEndpoint

SECRET = "hunter2: very+secret"


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    endpoint = TokenEndpoint()
    yield endpoint
    endpoint.close()


def refused(provider: ClientCredentials) -> str:
    with pytest.raises(TokenRefused) as caught:
        provider()
    error = caught.value
    assert isinstance(error, KlifeError)
    assert error.retriable
    shown = "".join(traceback.format_exception(error)) + repr(pickle.loads(pickle.dumps(error)))
    for secret in (SECRET, "hunter2"):
        assert secret not in shown
    return str(error)


def test_it_asks_as_oauth_wants_it_and_tells_when_the_token_ends(endpoint: TokenEndpoint) -> None:
    provider = ClientCredentials(endpoint.url, "orders", SECRET, scope="kafka read", extensions={"logicalCluster": "lkc-1"})
    before = time.time()
    token, expires_at, extensions = provider()
    assert (token, extensions) == ("a.b.c", {"logicalCluster": "lkc-1"})
    assert expires_at is not None
    assert before + 300 <= expires_at <= time.time() + 300
    [(headers, form)] = endpoint.asked
    assert form == {"grant_type": ["client_credentials"], "scope": ["kafka read"]}
    kind, _, credentials = headers["Authorization"].partition(" ")
    assert kind == "Basic"
    assert b64decode(credentials) == b"orders:hunter2%3A+very%2Bsecret"


@pytest.mark.parametrize(
    ("told", "lifetime"), [("300", 300), (None, None), (-5, None), ("soon", None), (1e400, None), ({}, None)], ids=repr
)
def test_a_lifetime_may_be_text_and_what_is_none_leaves_the_expiry_to_the_token(
    endpoint: TokenEndpoint, told: Any, lifetime: int | None
) -> None:
    endpoint.answers(200, {"access_token": "a.b.c", "expires_in": told})
    _, expires_at, _ = ClientCredentials(endpoint.url, "orders", SECRET)()
    assert expires_at == (None if lifetime is None else pytest.approx(time.time() + lifetime, abs=30))


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        (401, {"error": "invalid_client", "error_description": "no such client"}, ["401", "invalid_client: no such client"]),
        (400, {"error": "invalid_scope"}, ["400: invalid_scope"]),
        (500, b"<h1>Internal\n\x1b[31mError</h1>", ["500", "<h1>Internal [31mError</h1>"]),
        (500, b"x" * 5000, ["500", "xxx..."]),
        (503, b"", ["503 without a word"]),
        (401, {"error": "wrong", "error_description": f"secret {SECRET} is wrong"}, ["401: wrong: secret *** is wrong"]),
        (200, b"<html>", ["no access_token", "is it a token endpoint?"]),
        (200, ["token"], ["no access_token"]),
        (200, {"access_token": 5}, ["no access_token"]),
        (200, {"access_token": "hunter2", "token_type": "MAC"}, ["another type than bearer"]),
        (200, b'{"access_token": "' + b"x" * LARGEST_ANSWER_BYTES + b'"}', [f"more than {LARGEST_ANSWER_BYTES} bytes"]),
        (200, b"[" * 100_000, ["no access_token"]),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_token_is_told_in_the_servers_words_without_secrets(
    endpoint: TokenEndpoint, status: int, answer: Any, says: list[str]
) -> None:
    endpoint.answers(status, answer)
    told = refused(ClientCredentials(endpoint.url, "orders", SECRET))
    assert told.startswith(f"the token endpoint {endpoint.url} ")
    assert len(told) < 500
    for part in says:
        assert part in told


def test_a_redirect_is_not_followed_for_the_secret_is_for_this_server_alone(endpoint: TokenEndpoint) -> None:
    endpoint.answers(307, b"", Location=endpoint.url)
    assert "307" in refused(ClientCredentials(endpoint.url, "orders", SECRET))
    assert len(endpoint.asked) == 1


def test_a_server_that_is_silent_or_not_there_is_told(endpoint: TokenEndpoint) -> None:
    endpoint.silent_seconds = 1.0
    assert "not through within 0.2 s" in refused(ClientCredentials(endpoint.url, "orders", SECRET, timeout=0.2))
    told = refused(ClientCredentials("http://127.0.0.1:1/token", "orders", SECRET))
    assert told == "the token endpoint http://127.0.0.1:1/token gave no answer: Failed to establish a new connection: [Errno 111] " + (
        "Connection refused"
    )
    assert "ca_file /missing.pem" in refused(ClientCredentials("https://127.0.0.1:1/token", "orders", SECRET, ca_file="/missing.pem"))


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"], ids=repr)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_says_little_at_a_time_has_no_longer_than_others(begins: bytes, scheme: str) -> None:
    """In TLS it is the handshake that never ends."""
    hello = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" if scheme == "https" else begins

    def drip(sock: Any, _address: Any) -> None:
        with suppress(OSError):
            sock.sendall(hello)
            while True:
                sock.sendall(b"x")
                gevent.sleep(0.02)

    server = StreamServer(("127.0.0.1", 0), drip)
    server.start()
    provider = ClientCredentials(f"{scheme}://127.0.0.1:{server.server_port}/token", "orders", SECRET, timeout=0.3)
    told = get_hub().threadpool.apply(refused, (provider,))  # and not when the server is tired of it
    server.stop()
    assert "within 0.3 s" in told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"token_url": "http://idp.example/token"}, ["http", "idp.example", "https"]),
        ({"token_url": f"https://orders:{SECRET}@idp.example/token"}, ["has a user in it"]),
        ({"token_url": "idp.example/token"}, ["no URL"]),
        ({"token_url": 5}, ["no URL"]),
        ({"client_id": ""}, ["client_id is empty"]),
        ({"client_secret": None}, ["client_secret is NoneType"]),
        ({"timeout": 0}, ["timeout is 0"]),
        ({"pool": urllib3.PoolManager(), "ca_file": "/ca.pem"}, ["ca_certs"]),
    ],
    ids=repr,
)
def test_arguments_that_can_not_be_right_are_refused(arguments: dict[str, Any], says: list[str]) -> None:
    given = {"token_url": "https://idp.example/token", "client_id": "orders", "client_secret": SECRET} | arguments
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked at below
        ClientCredentials(**given)
    assert SECRET not in str(caught.value)
    for part in says:
        assert part in str(caught.value)


def test_a_pool_of_the_users_own_is_used_and_kept(endpoint: TokenEndpoint) -> None:
    pool = urllib3.PoolManager(headers={"X-Own": "1"})
    assert ClientCredentials(endpoint.url, "orders", SECRET, pool=pool)()[0] == "a.b.c"
    assert len(pool.pools) == 1
    pool.clear()


def test_its_repr_has_no_secret_and_copies_are_equal(endpoint: TokenEndpoint) -> None:
    provider = ClientCredentials(endpoint.url, "orders", SECRET, scope="kafka")
    assert SECRET not in repr(provider) + str(provider)
    for other in (copy.copy(provider), copy.deepcopy(provider), pickle.loads(pickle.dumps(provider))):
        assert (other, hash(other)) == (provider, hash(provider))
        assert other()[0] == "a.b.c"
    assert provider != ClientCredentials(endpoint.url, "orders", "other")


def test_in_the_pools_threads_it_holds_no_hub(endpoint: TokenEndpoint) -> None:
    endpoint.silent_seconds = 0.5
    ticks = []

    def tick() -> None:
        while True:
            ticks.append(1)
            gevent.sleep(0.01)

    ticker = gevent.spawn(tick)
    assert get_hub().threadpool.apply(ClientCredentials(endpoint.url, "orders", SECRET))[0] == "a.b.c"
    ticker.kill()
    assert len(ticks) > 3


PATCHED = """
from gevent import monkey
monkey.patch_all()
import gc, os, sys
import gevent
from gevent.hub import Hub
from klife.oidc import ClientCredentials, TokenRefused

provider = ClientCredentials(sys.argv[1], "orders", "secret")
broken = ClientCredentials("http://localhost:1/token", "orders", "secret")
pool = gevent.get_hub().threadpool

def ask(provider):
    try:
        return provider()[0]
    except TokenRefused:
        return None

def left():
    gc.collect()
    return sum(isinstance(each, Hub) and not each.dead for each in gc.get_objects()), len(os.listdir("/proc/self/fd"))

pool.apply(ask, (provider,))
gevent.get_hub().resolver
before = left()
asked = [pool.spawn(ask, provider) for _ in range(5)] + [pool.spawn(ask, broken)]
print([each.get() for each in asked], provider()[0], left() == before)
"""


def test_patched_sockets_in_the_pools_threads_work_and_leave_no_hub_behind(endpoint: TokenEndpoint) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PATCHED, endpoint.url], capture_output=True, text=True, timeout=60, check=False, env=environment()
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "['a.b.c', 'a.b.c', 'a.b.c', 'a.b.c', 'a.b.c', None] a.b.c True\n"


def test_without_its_extra_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["urllib3"] = None
from klife.oidc import ClientCredentials
ClientCredentials("https://idp.example/token", "orders", "secret")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=environment())
    assert done.stderr.splitlines()[-1] == ('ImportError: klife.oidc needs urllib3, which is not installed: pip install "klife[oidc]"')


def test_importing_it_imports_neither_urllib3_nor_ssl() -> None:
    code = "import sys; import klife.oidc; print({'urllib3', 'ssl'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment())
    assert done.stdout == "set()\n"
