"""What to do next about a step that failed, and the error that carries it."""

from __future__ import annotations

from klife.protocol.error_codes import ErrorCode

NAME = "correct the name, or look at this machine's DNS: whoever runs klife must be able to resolve it"
REFUSED = "look whether a broker runs there, and listens on that port"
SILENT = "look at firewalls and security groups between here and there: what is sent there is dropped"
TLS = "mend the settings of tls, or the broker's certificate, as the check of tls says; docs/security.md tells more"
NO_TLS = "set tls (security.protocol is SSL or SASL_SSL), or name the port of a listener without TLS"
SASL = "set sasl (security.protocol is SASL_SSL or SASL_PLAINTEXT), or name the port of a listener without authentication"
LOGIN = "mend the settings of sasl, as the check of sasl says; docs/security.md tells more"
LOGIN_BY_CODE: dict[int, str] = {
    ErrorCode.SASL_AUTHENTICATION_FAILED: "correct the credentials in the option sasl, or give the user some at the brokers",
    ErrorCode.UNSUPPORTED_SASL_MECHANISM: "give one of the mechanisms that the broker offers in the option sasl",
    ErrorCode.ILLEGAL_SASL_STATE: "leave out sasl, or name the port of the listener that wants it",
}
TOKEN = "make the token_provider work; call it by itself, to see what it does"
NO_BROKERS = "wait until the brokers have registered with the cluster; if they do not, look at their logs"
NO_KAFKA = "look whether this is the port of a Kafka broker"


class StepFailed(Exception):
    """The step of this name can not be taken; the text says why, `next_step` what to do."""

    def __init__(self, name: str, detail: str, next_step: str = "") -> None:
        super().__init__(detail)
        self.name: str = name
        self.next_step: str = next_step
