"""No secret reaches the log at any level. All tests are watched for that (`log_without_secrets`); these show
that the watch sees what it should, and that clients that are refused, who say most, tell none.
"""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import SecretStr

from klife import Record
from klife.protocol.sasl.token import Token
from klife_supervision.logs import get_logger
from tests.support.inside_client import tells_why_it_is_not_ready
from tests.support.scripted_broker import PATIENCE, ScriptedCluster
from tests.support.scripted_sasl import ScriptedSasl
from tests.support.told_secrets import ToldSecrets
from tests.support.waiting import wait_until

PASSWORD = 'p,a=ﬁ "quoted" 1'
log = get_logger("klife.test")


@pytest.mark.parametrize("level", ["debug", "warning"])
def test_a_secret_in_an_event_is_found_at_every_level(log_without_secrets: ToldSecrets, level: str) -> None:
    SecretStr(PASSWORD).get_secret_value()
    Token("a-token.of-mine")
    tell = getattr(log, level)
    tell("fine", user="shop")
    tell("a_password", settings={"password": PASSWORD})
    tell("a_token", answer=("Bearer a-token.of-mine",))
    assert [event.split()[2] for event in log_without_secrets.found()] == ["a_password", "a_token"]
    log_without_secrets.forget()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"])
def test_clients_that_are_taken_renewed_and_refused_tell_none(
    start_client: Any, log_without_secrets: ToldSecrets, mechanism: str
) -> None:
    sasl = ScriptedSasl((mechanism,), users={"shop": PASSWORD}, tokens={"a-token.of-mine"}, lifetime_ms=1300)
    ours: dict[str, Any] = {"mechanism": mechanism}
    if mechanism == "OAUTHBEARER":
        ours["token_provider"] = lambda: ("a-token.of-mine", time.time() + 60)
    else:
        ours |= {"username": "shop", "password": PASSWORD}
    with ScriptedCluster(sasl=sasl) as cluster:
        client = start_client(cluster, sasl=ours)
        client.produce(Record("orders", b"v")).get(PATIENCE)
        wait_until(lambda: len(sasl.authentications) >= 3, PATIENCE)
        sasl.users, sasl.tokens = {}, set()
        tells_why_it_is_not_ready(start_client(cluster, sasl=ours), "the broker refused")
    assert log_without_secrets._secrets  # were seen
    assert log_without_secrets._told
