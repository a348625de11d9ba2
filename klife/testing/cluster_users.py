"""The users of a cluster with SASL: two, who may each authenticate by PLAIN, by SCRAM and by a token.

PLAIN's are in the brokers' properties. Those of SCRAM are made by a request when the brokers serve (KIP-554),
because Kafka's StorageTool takes no `,` in a name. Tokens are JWTs that nobody signed, which brokers take
where nobody says otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from klife.protocol.apis.alter_user_scram_credentials import AlterUserScramCredentialsRequest, ScramCredentialUpsertion
from klife.protocol.apis.describe_user_scram_credentials import DescribeUserScramCredentialsRequest, UserName
from klife.protocol.error_codes import ErrorCode, describe
from klife.testing.cluster_errors import ClusterError

if TYPE_CHECKING:
    from klife.admin import AdminClient

USER = "klife"
USERS: Mapping[str, str] = {USER: "klife-secret", "o,d=d": "p,a=\N{LATIN SMALL LIGATURE FI}"}
"""Their passwords. The second has what SCRAM must quote, and what it must leave as it is."""

SCRAM = {"SCRAM-SHA-256": ("sha256", 1), "SCRAM-SHA-512": ("sha512", 2)}
"""The name of the hash, and Kafka's number of the mechanism."""
MECHANISMS = ("PLAIN", *SCRAM, "OAUTHBEARER")

_ITERATIONS = 4096
_MODULES = "org.apache.kafka.common.security"


def login_module(mechanism: str) -> str:
    """The broker's side of a mechanism, in JAAS' notation."""
    if mechanism == "PLAIN":
        users = " ".join(f'"user_{user}"="{password}"' for user, password in USERS.items())
        return f"{_MODULES}.plain.PlainLoginModule required {users};"
    if mechanism in SCRAM:
        return f"{_MODULES}.scram.ScramLoginModule required;"
    return f'{_MODULES}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'


def make_scram_users(admin: AdminClient) -> None:
    """Make the users of SCRAM. ClusterError when the brokers refuse."""
    for mechanism in SCRAM:  # a request may name a user once
        credentials = [_credential(user, mechanism) for user in USERS]
        response = admin.send_to_controller(AlterUserScramCredentialsRequest(upsertions=credentials))
        for result in response.results:
            if result.error_code:
                raise ClusterError(f"user {result.user!r} can not be made: {describe(result.error_code)} ({result.error_message})")


def know_scram_users(admin: AdminClient, addresses: Iterable[str]) -> bool:
    """Whether all these brokers know them. With ZooKeeper, the controller alone tells."""
    wanted = {(user, number) for user in USERS for _, number in SCRAM.values()}
    request = DescribeUserScramCredentialsRequest(users=[UserName(name=user) for user in USERS])
    for address in addresses:
        answer = admin.send(request, address)
        found = {(each.user, info.mechanism) for each in answer.results for info in each.credential_infos}
        if answer.error_code != ErrorCode.NOT_CONTROLLER and not wanted <= found:
            return False
    return True


def unsecured_tokens(user: str, seconds: float) -> Callable[[], str]:
    """A `token_provider` of tokens that nobody signed, each for `seconds`."""

    def token() -> str:
        now = time.time()
        return f"{_json_part({'alg': 'none'})}.{_json_part({'sub': user, 'iat': now, 'exp': now + seconds})}."

    return token


def _json_part(values: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).rstrip(b"=").decode()


def _credential(user: str, mechanism: str) -> ScramCredentialUpsertion:
    hash_name, number = SCRAM[mechanism]
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac(hash_name, USERS[user].encode(), salt, _ITERATIONS)
    return ScramCredentialUpsertion(name=user, mechanism=number, iterations=_ITERATIONS, salt=salt, salted_password=salted)
