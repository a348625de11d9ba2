"""AlterUserScramCredentials: users who authenticate by SCRAM (KIP-554). Used to make those of a test's
cluster.
"""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, bytes_, int8, int16, int32, string


class ScramCredentialDeletion(Struct):
    """What is to be removed."""

    name: str = string("0+")
    mechanism: int = int8("0+")


class ScramCredentialUpsertion(Struct):
    """What is to be there. The broker never sees the password."""

    name: str = string("0+")
    mechanism: int = int8("0+")
    iterations: int = int32("0+")
    salt: bytes = bytes_("0+")
    salted_password: bytes = bytes_("0+")


class AlterUserScramCredentialsResult(Struct):
    """What became of one user's."""

    user: str = string("0+")
    error_code: int = int16("0+")
    error_message: str | None = string("0+", nullable="0+")


class AlterUserScramCredentialsResponse(Response, key=51, versions="0", flexible="0+"):
    """One result for each user."""

    throttle_time_ms: int = int32("0+")
    results: list[AlterUserScramCredentialsResult] = array(AlterUserScramCredentialsResult, "0+")


class AlterUserScramCredentialsRequest(Request[AlterUserScramCredentialsResponse], key=51, versions="0", flexible="0+"):
    """Mechanisms are numbers: 1 is SCRAM-SHA-256, 2 is SCRAM-SHA-512."""

    deletions: list[ScramCredentialDeletion] = array(ScramCredentialDeletion, "0+")
    upsertions: list[ScramCredentialUpsertion] = array(ScramCredentialUpsertion, "0+")
