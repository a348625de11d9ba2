"""What must hold within the settings of TLS and of SASL, as pure functions of one whose single settings are
right.

A setting that would change nothing is refused as one that is missing: who gives a password beside a token
provider believes that it counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from klife.api.config.problem import Problem

if TYPE_CHECKING:
    from pydantic import SecretStr

SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
WITH_PASSWORD = ("PLAIN", *SCRAM)


def tls_problems(cert_file: str | None, key_file: str | None, key_password: SecretStr | None) -> Iterator[Problem]:
    """What is wrong between the settings of TLS. The files themselves are looked at when a client starts."""
    if cert_file is not None:
        return
    if key_file is not None:
        yield Problem(
            ("key_file",),
            "given without cert_file, so that there is no certificate to show; give the certificate (chain) as cert_file, "
            "or leave key_file out",
            (("cert_file",),),
        )
    elif key_password is not None:
        yield Problem(
            ("key_password",),
            "given without a key that it opens; give cert_file (and key_file, if the key is in a file of its own), "
            "or leave key_password out",
            (("cert_file",), ("key_file",)),
        )


def sasl_problems(mechanism: Any, username: str | None, password: SecretStr | None, token_provider: Any) -> Iterator[Problem]:
    """What is wrong between the settings of SASL. `mechanism` is a name, or an object of the user's."""
    plain = None if password is None else password.get_secret_value()
    credentials = {"username": username, "password": plain}
    if mechanism in WITH_PASSWORD:
        for setting, value in credentials.items():
            if unfit := _unfit(setting, value, mechanism):
                yield _problem(setting, unfit)
        if token_provider is not None:
            yield _problem("token_provider", f'given, but {mechanism} takes username and password; leave it out, or give "OAUTHBEARER"')
        return
    if not isinstance(mechanism, str):
        not_used = "given beside a mechanism of your own, which has its credentials itself; leave it out"
    else:
        not_used = "given, but OAUTHBEARER takes a token_provider alone; leave it out, or give another mechanism"
        if token_provider is None:
            yield _problem(
                "token_provider",
                "missing; OAUTHBEARER needs it: a callable that returns a token, such as klife.oidc.ClientCredentials(token_url, "
                "client_id, client_secret)",
            )
    for setting, value in credentials.items():
        if value is not None:
            yield _problem(setting, not_used)


def _unfit(setting: str, value: str | None, mechanism: str) -> str | None:
    """Why the mechanism can do nothing with a user's name or password; never with the value."""
    if value is None:
        return f"missing; {mechanism} needs both username and password"
    if not value:
        return f"is empty, and {mechanism} needs one; was it read from a variable that is not set?"
    if "\0" in value:
        return "has a NUL character, which SASL can not send"
    # Kafka's ScramFormatter and ScramMessages take user names of these characters alone. Passwords may be
    # anything: Kafka takes their bytes as they are.
    if mechanism in SCRAM and setting == "username" and not value.isascii():
        return f"may have ASCII characters alone: Kafka has no other users for {mechanism}"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "has half of a surrogate pair, which can not be written as UTF-8; was it decoded with the right encoding?"
    return None


def _problem(setting: str, text: str) -> Problem:
    loc = (setting,)
    return Problem(loc, text, (("mechanism",), loc))
