"""Kafka's dotted names of security, Java's and librdkafka's, as the options tls and sasl.

`security.protocol` says whether there is TLS and SASL at all. What is given beside a protocol that does not use
it is refused, where Kafka's clients pass over it: who names authorities believes that something is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from klife.api.config.security_login import SASL_NAMES, Login, LoginReader
from klife.api.config.security_stores import STORE_NAMES, read_stores
from klife.api.config.words import describe

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")

_FILES = {"ssl.ca.location": "ca_file", "ssl.certificate.location": "cert_file", "ssl.key.location": "key_file"}
_PROBE = ("ssl.ca.location", "probe")  # librdkafka's word for the system's authorities
_KEY_PASSWORD = "ssl.key.password"
_HOST_CHECK = "ssl.endpoint.identification.algorithm"
_VERIFICATION = "enable.ssl.certificate.verification"
_VERSIONS = {"ssl.enabled.protocols": True, "ssl.protocol": False}  # whether it lists all that there may be
_SPOKEN = {"TLS", "TLSv1.2", "TLSv1.3"}
_CONTEXT = "make an ssl.SSLContext that is so, and give it as tls"

TLS_NAMES = (*_FILES, _KEY_PASSWORD, _HOST_CHECK, _VERIFICATION, *_VERSIONS, *STORE_NAMES)
SECURITY_NAMES = frozenset({"security.protocol", *TLS_NAMES, *SASL_NAMES})


class SecurityReader:
    """Turns the properties of `SECURITY_NAMES` into the options tls and sasl."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []

    def read(self, given: Mapping[str, Any]) -> None:
        """Take what is given; names that are not of security are passed over."""
        tls = {name: given[name] for name in TLS_NAMES if name in given}
        sasl = {name: given[name] for name in SASL_NAMES if name in given}
        protocol = given.get("security.protocol")
        if protocol is None:
            if tls or sasl:
                wanted = ("SASL_" if sasl else "") + ("SSL" if tls or sasl else "")
                self._without_effect([*tls, *sasl], f"without security.protocol; give {wanted}")
            return
        spelled = protocol.strip().upper() if isinstance(protocol, str) else protocol
        if spelled not in SECURITY_PROTOCOLS:
            self.problems.append(f"security.protocol: got {describe(protocol)}, expected one of {', '.join(SECURITY_PROTOCOLS)}")
            return
        self._if("SSL" in spelled, tls, spelled, self._tls)
        self._if("SASL" in spelled, sasl, spelled, self._sasl)

    def _if(self, wanted: bool, given: Mapping[str, Any], protocol: str, read: Callable[[Mapping[str, Any]], None]) -> None:
        if wanted:
            read(given)
        elif given:
            self._without_effect(list(given), f"with security.protocol {protocol}; give another")

    def _without_effect(self, names: list[str], why: str) -> None:
        verb = "have" if len(names) > 1 else "has"
        self.problems.append(f"{', '.join(names)}: {verb} no effect {why}, or leave {'them' if len(names) > 1 else 'it'} out")

    def _tls(self, given: Mapping[str, Any]) -> None:
        settings: dict[str, Any] = {}
        for name, setting in _FILES.items():
            value = _stripped(given.get(name))
            if value and (name, value) != _PROBE:
                settings[setting] = value
                self.origins[f"tls.{setting}"] = name
        for setting, (path, name) in read_stores(given, self.problems).items():
            if setting in settings:
                self.problems.append(f"{name}: means the same as {self.origins[f'tls.{setting}']}; leave one of the two out")
            settings[setting] = path
            self.origins[f"tls.{setting}"] = name
        if given.get(_KEY_PASSWORD) not in (None, ""):
            settings["key_password"] = given[_KEY_PASSWORD]
            self.origins["tls.key_password"] = _KEY_PASSWORD
        self._checks(given, settings)
        self.options["tls"] = settings or True
        self.origins["tls"] = "security.protocol"

    def _checks(self, given: Mapping[str, Any], settings: dict[str, Any]) -> None:
        """What is checked of a broker's certificate, and which versions of TLS there may be."""
        host_check = given.get(_HOST_CHECK, "https")
        match _word(host_check):
            case "https":
                pass
            case "" | "none":
                settings["check_hostname"] = False
            case _:
                self.problems.append(
                    f'{_HOST_CHECK}: got {describe(host_check)}, expected "https" to check the name in a broker\'s certificate, '
                    'or "none" (Java\'s "") not to'
                )
        if _word(given.get(_VERIFICATION, True)) != "true":
            self.problems.append(
                f"{_VERIFICATION}: a broker's certificate is always verified, or anybody could pose as the broker; give its authority "
                "(a self-signed certificate is its own) as ssl.ca.location. Where only the name does not fit, "
                f"{_HOST_CHECK}=none is enough"
            )
        for name, lists_all in _VERSIONS.items():
            if name in given:
                versions = {part.strip() for part in str(given[name]).split(",")}
                if not versions <= _SPOKEN or (lists_all and len(versions) < len(_SPOKEN - {"TLS"})):
                    self.problems.append(f"{name}: klife speaks TLS 1.2 and 1.3, as the broker prefers; leave it out, or {_CONTEXT}")

    def _sasl(self, given: Mapping[str, Any]) -> None:
        login: Login = LoginReader(given).read()
        self.options["sasl"] = login.settings
        self.origins |= {"sasl": "security.protocol"} | {f"sasl.{setting}": name for setting, name in login.origins.items()}
        self.problems += login.problems


def _word(value: object) -> object:
    if isinstance(value, bool | str):
        return str(value).strip().lower()
    return value


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value
