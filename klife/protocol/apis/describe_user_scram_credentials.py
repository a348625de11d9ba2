"""DescribeUserScramCredentials: which users a broker knows who authenticate by SCRAM (KIP-554)."""

from __future__ import annotations

from klife.protocol.message import Request, Response
from klife.protocol.schema import Struct, array, int8, int16, int32, string


class UserName(Struct):
    """Who is asked for."""

    name: str = string("0+")


class CredentialInfo(Struct):
    """A mechanism that a user may authenticate by; numbers as in AlterUserScramCredentials."""

    mechanism: int = int8("0+")
    iterations: int = int32("0+")


class DescribeUserScramCredentialsResult(Struct):
    """A user."""

    user: str = string("0+")
    error_code: int = int16("0+")
    error_message: str | None = string("0+", nullable="0+")
    credential_infos: list[CredentialInfo] = array(CredentialInfo, "0+")


class DescribeUserScramCredentialsResponse(Response, key=50, versions="0", flexible="0+"):
    """One result for each user."""

    throttle_time_ms: int = int32("0+")
    error_code: int = int16("0+")
    error_message: str | None = string("0+", nullable="0+")
    results: list[DescribeUserScramCredentialsResult] = array(DescribeUserScramCredentialsResult, "0+")


class DescribeUserScramCredentialsRequest(Request[DescribeUserScramCredentialsResponse], key=50, versions="0", flexible="0+"):
    """None asks for all users."""

    users: list[UserName] | None = array(UserName, "0+", nullable="0+")
