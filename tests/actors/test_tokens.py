"""Tokens: asked for once, ahead of their end, in a thread; and a provider that fails, hangs or comes late."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import gevent
import pytest

from klife import Record
from klife.actors import engines
from klife.actors.network import tokens as module
from klife.actors.network.tokens import TokenFailed, Tokens
from klife.actors.principal import Principal
from tests.support.inside_client import tells_why_it_is_not_ready
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.scripted_sasl import ScriptedSasl
from tests.support.told_logs import told_logs
from tests.support.waiting import wait_until

ORDER = Record(topic="orders", value=b"v")


class Provider:
    """Returns `token-1`, `token-2`, ..., each for `life` seconds (None: it does not say), or does what `then`
    says of the call's number.
    """

    def __init__(self, life: float | None = 60.0) -> None:
        self.life = life
        self.calls: list[float] = []
        self.threads: set[int] = set()
        self.then: Callable[[int], Any] = lambda _number: None
        self.valid: set[str] = set()

    def __call__(self) -> Any:
        self.calls.append(time.monotonic())
        self.threads.add(threading.get_ident())
        number = len(self.calls)
        self.then(number)
        token = f"token-{number}"
        self.valid.add(token)
        return token if self.life is None else (token, time.time() + self.life)


@pytest.fixture
def made() -> Iterator[Callable[..., Tokens]]:
    all_made: list[Tokens] = []

    def make(provider: Any, patience: float = PATIENCE) -> Tokens:
        all_made.append(Tokens(provider, patience, Principal()))
        return all_made[-1]

    yield make
    for tokens in all_made:
        tokens.close()


def several(tokens: Tokens, number: int = 10) -> set[str]:
    """What so many get who ask at once."""
    asking = [gevent.spawn(tokens.current) for _ in range(number)]
    return {each.get(timeout=PATIENCE).value for each in asking}


@pytest.mark.parametrize("life", [60.0, None])
def test_all_who_ask_get_the_same_token_from_one_call_in_a_thread(made: Any, life: float | None) -> None:
    provider = Provider(life)
    provider.then = lambda _number: time.sleep(0.05)
    tokens = made(provider)
    assert several(tokens) == several(tokens) == {"token-1"}
    assert provider.threads.isdisjoint({threading.get_ident()})


def test_a_token_is_replaced_before_it_ends_though_nobody_asks(made: Any) -> None:
    provider = Provider(life=0.5)
    tokens = made(provider)
    tokens.current()
    wait_until(lambda: len(provider.calls) == 3, PATIENCE)
    first, second, third = provider.calls
    assert second - first >= 0.39
    assert third - second >= 0.39


def test_the_old_token_does_while_the_new_one_is_late(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT_WITH_TOKEN", 0.01)
    provider, late = Provider(life=PATIENCE), threading.Event()
    provider.then = lambda number: number == 2 and late.wait(PATIENCE)
    tokens = made(provider)
    token = tokens.current()
    tokens._due = 0.0
    assert tokens.current() is token
    late.set()
    wait_until(lambda: tokens.current().value == "token-2")


def test_a_provider_that_raises_is_told_and_asked_again_after_a_pause(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_PAUSE", 0.1)
    provider = Provider()

    def fail(number: int) -> None:
        if number < 3:
            raise OSError("no route to the authority")

    provider.then = fail
    tokens = made(provider)
    with told_logs() as logs:
        for _ in range(5):
            with pytest.raises(TokenFailed, match=r"^token provider failed: OSError: no route to the authority$"):
                tokens.current()
        assert len(provider.calls) == 1
        wait_until(lambda: len(provider.calls) == 3, PATIENCE)  # by itself
        assert several(tokens) == {"token-3"}
        assert [log["attempt"] for log in logs if log["event"] == "token_provider_failed"] == [1]  # the second is a repeat


def test_a_clock_that_is_set_back_keeps_nobody_from_asking_again(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider()

    def fail_once(number: int) -> None:
        if number == 1:
            raise OSError("no route to the authority")

    provider.then = fail_once
    tokens = made(provider)
    with pytest.raises(TokenFailed):
        tokens.current()
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: time.time() - 3600.0))
    assert tokens.current().value == "token-2"
    assert tokens.current().value == "token-2"
    assert len(provider.calls) == 2


class _Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (gevent.Timeout(5), "Timeout: 5 seconds"),
        (gevent.GreenletExit(), "GreenletExit: "),
        (SystemExit(3), "SystemExit: 3"),
        (_Wordless(), "_Wordless: it has no text"),
        (OSError("no\nroute" + 1000 * "x"), f"OSError: no route{492 * 'x'}..."),
    ],
)
def test_whatever_a_provider_raises_is_told_in_a_line_and_tried_again_after_a_pause(made: Any, error: BaseException, told: str) -> None:
    provider = Provider()

    def fail(_number: int) -> None:
        raise error

    provider.then = fail
    tokens = made(provider)
    for _ in range(3):
        with pytest.raises(TokenFailed) as failed:
            tokens.current()
        assert str(failed.value) == f"token provider failed: {told}"
    assert len(provider.calls) == 1


@pytest.mark.parametrize(
    "answer", [None, b"bytes", "Bearer x", ("token", 5.0), ("token", 1e13), ("token", time.time() + 60, {"auth": "x"})]
)
def test_what_is_no_token_is_told(made: Any, answer: Any) -> None:
    with pytest.raises(TokenFailed, match=r"^token provider failed: ValueError: (the|a SASL)"):
        made(lambda: answer).current()


def test_a_call_that_hangs_is_told_in_time_and_the_next_may_be_better(made: Any) -> None:
    provider, go_on = Provider(), threading.Event()
    provider.then = lambda number: number < 3 and go_on.wait(PATIENCE)
    tokens = made(provider, patience=0.05)
    with told_logs() as logs:
        waiting = [gevent.spawn(tokens.current) for _ in range(3)]
        for each in waiting:
            with pytest.raises(TokenFailed, match=r"^the token provider has not answered within 0\.05 s$"):
                each.get(timeout=PATIENCE)
        wait_until(lambda: tokens._token is not None and tokens._token.value == "token-3", PATIENCE)  # by itself
        assert several(tokens) == {"token-3"}
        told = [log["event"] for log in logs]
    assert told[0] == "token_provider_failed"  # and what follows is its repeat
    go_on.set()


def test_one_thread_serves_all_calls_and_ends_with_the_client(made: Any) -> None:
    """A connection that a provider keeps is of its thread, where the program is patched."""
    provider = Provider()
    tokens = made(provider)
    for number in range(1, 4):
        tokens._asked_at = tokens._due = 0.0
        wait_until(lambda wanted=f"token-{number}": tokens.current().value == wanted)
    assert len(provider.threads) == 1
    pool = tokens._threads._pool
    assert pool.size == 1
    tokens.close()
    wait_until(lambda: pool.size == 0)


def test_calls_that_never_return_are_few_and_one_that_does_after_all_is_used(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOST_PAUSE", 1.0)
    provider, go_on = Provider(), threading.Event()
    provider.then = lambda _number: go_on.wait(PATIENCE)
    tokens = made(provider, patience=0.02)

    def told() -> str:
        with pytest.raises(TokenFailed) as failed:
            tokens.current()
        return str(failed.value)

    wait_until(lambda: "give what it asks a timeout" in told(), PATIENCE)
    assert "4 times, and each keeps a thread" in told()
    tokens._due = 0.0
    told()
    assert len(provider.calls) == 4
    go_on.set()
    wait_until(lambda: not tokens._calls)
    assert several(tokens) <= {f"token-{number}" for number in range(1, 5)}


def test_a_refused_token_is_replaced_and_not_more_often_than_once_a_pause(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_PAUSE", 0.2)
    provider = Provider()
    tokens = made(provider)
    token = tokens.current()
    tokens.refused(token)
    assert tokens.current() is token
    wait_until(lambda: tokens.current() is not token, PATIENCE)
    tokens.refused(token)  # by a broker that was told it before
    assert tokens.current().value == "token-2"
    assert provider.calls[1] - provider.calls[0] >= 0.1  # the first may have run a little after it was asked for


def test_when_the_client_has_ended_nobody_is_asked_any_more(made: Any) -> None:
    provider = Provider(life=0.2)
    tokens = made(provider)
    tokens.current()
    waiting = gevent.spawn(tokens.current)
    tokens.close()
    waiting.get(timeout=PATIENCE)
    gevent.sleep(0.3)
    assert len(provider.calls) == 1
    with pytest.raises(TokenFailed, match="the client has ended"):
        tokens.current()


# with clients


def test_a_token_serves_all_brokers_and_their_renewals(start_client: Any) -> None:
    provider = Provider(life=4.0)
    sasl = ScriptedSasl(("OAUTHBEARER",), tokens=provider.valid, lifetime_ms=1300)
    with ScriptedCluster(3, topics={"orders": 3}, sasl=sasl) as cluster:
        for partition in range(3):
            cluster.move("orders", partition, partition + 1)
        client = start_client(cluster, sasl={"mechanism": "OAUTHBEARER", "token_provider": provider})
        for partition in range(3):
            client.produce(Record("orders", b"v", partition=partition)).get(PATIENCE)
        wait_until(lambda: len(sasl.authentications) >= 4 + 3, PATIENCE)
        assert len(provider.calls) == 1
        assert sasl.broken == []
        client.stop()
        assert engines.find(client.name) is None


def test_what_is_wrong_with_a_token_is_told(start_client: Any) -> None:
    provider = Provider()
    sasl = ScriptedSasl(("OAUTHBEARER",))
    with ScriptedCluster(sasl=sasl) as cluster, told_logs() as logs:
        ours = {"mechanism": "OAUTHBEARER", "token_provider": provider}
        refused = start_client(cluster, sasl=ours)
        tells_why_it_is_not_ready(refused, "the broker refused the token: .*Invalid token")
        sasl.tokens = {"token-2", "token-3", "token-4"}  # the next is better
        refused.wait_ready(PATIENCE)
        assert not [log for log in logs if "token-1" in repr(log)]

        def fails() -> None:
            raise LookupError("no such client")

        failed = start_client(cluster, sasl={"mechanism": "OAUTHBEARER", "token_provider": fails})
        tells_why_it_is_not_ready(failed, "token provider failed: LookupError: no such client")
        go_on = threading.Event()
        hung = start_client(cluster, sasl={"mechanism": "OAUTHBEARER", "token_provider": go_on.wait}, connect_timeout_ms=100)
        tells_why_it_is_not_ready(hung, r"the token provider has not answered within 0\.1 s")
        go_on.set()


def test_who_waits_for_a_token_is_told_so(start_client: Any) -> None:
    go_on = threading.Event()
    with ScriptedCluster(sasl=ScriptedSasl(("OAUTHBEARER",), tokens={"token"})) as cluster:
        client = start_client(cluster, sasl={"mechanism": "OAUTHBEARER", "token_provider": lambda: go_on.wait(PATIENCE) and "token"})
        tells_why_it_is_not_ready(client, "the token provider was asked, and has not answered yet")
        go_on.set()
        client.wait_ready(PATIENCE)
        assert [broker.last_error for broker in client.status().brokers] == [None, None]
