"""`ClientCredentials`: a `token_provider` that gets its tokens from an OpenID Connect server, by the grant of
that name (RFC 6749, 4.4).

    from klife.oidc import ClientCredentials

    provider = ClientCredentials("https://idp.example/oauth2/token", "orders", secret, scope="kafka")
    client = Client.start("kafka:9093", tls=True, sasl={"mechanism": "OAUTHBEARER", "token_provider": provider})

Needs urllib3, which is an extra: `pip install "klife[oidc]"`. No secret and no token is in a `repr` or an
error.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode, urlsplit

from gevent import GreenletExit
from gevent._hub_local import get_hub_if_exists

from klife.errors import KlifeError

if TYPE_CHECKING:
    import ssl

    import urllib3

LARGEST_ANSWER_BYTES = 1 << 20
"""Tokens have some kilobytes at most; what is longer is no answer to the question."""

_LONGEST_WORDS = 300  # of the server's, in an error
_HUB_END_SECONDS = 0.1
_POOL = re.compile(r"^(HTTPS?)?Connection(Pool)?\([^)]*\): ")
_LOCAL = ("localhost", "127.0.0.1", "::1")


class TokenRefused(KlifeError):
    """The token endpoint gave no token; the text has its words. The next attempt may succeed."""

    retriable = True


class ClientCredentials:
    """Call it for a token: `(token, expires at, in seconds since 1970, or None, extensions)`.

    It can be called from any thread, and keeps no connection between two calls.

    Args:
        token_url: the token endpoint; https, or http on this machine.
        client_id: who asks.
        client_secret: sent as the password of HTTP Basic, encoded as RFC 6749, 2.3.1 wants it.
        scope: what is asked for; several words are separated by spaces.
        extensions: SASL extensions that brokers want beside the token, such as Confluent Cloud's
            `{"logicalCluster": "lkc-...", "identityPoolId": "pool-..."}`.
        timeout: seconds for the whole exchange; with a pool of your own, for each of its steps.
        ca_file: the authorities (PEM) to trust; None is the system's.
        pool: a `urllib3.PoolManager` of your own, for proxies and the like; `ca_file` is then its business.

    Raises:
        ImportError: urllib3 is not installed.
        ValueError: an argument can not be right.
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str,
        scope: str | None = None,
        *,
        extensions: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        ca_file: str | None = None,
        pool: urllib3.PoolManager | None = None,
    ) -> None:
        # Looked for, and imported when it is used: it imports ssl, which a program may be about to patch.
        if find_spec("urllib3") is None:
            raise ImportError('klife.oidc needs urllib3, which is not installed: pip install "klife[oidc]"')
        _check_url(token_url)
        for name, value in (("client_id", client_id), ("client_secret", client_secret)):
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name} is {'empty' if value == '' else type(value).__name__}, expected a str")
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout!r}, expected seconds above 0")
        if pool is not None and ca_file is not None:
            raise ValueError("ca_file does nothing beside a pool of your own; give it to the pool, as ca_certs")
        self._token_url = token_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = scope
        self._extensions = dict(extensions or {})
        self._timeout = timeout
        self._ca_file = ca_file
        self._pool = pool

    def __call__(self) -> tuple[str, float | None, dict[str, str]]:
        """A new token.

        Raises:
            TokenRefused: there is none; the text says what the server did.
        """
        asked_at = time()
        with _no_hub_left_behind():
            status, body = self._ask()
        answer = _parsed(body)
        if status != 200:
            raise TokenRefused(f"{self._where()} answered {status}{self._words(answer, body)}")
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise TokenRefused(
                f"{self._where()} answered {status}, and there is no access_token in its answer; is it a token endpoint?"
            )
        kind = answer.get("token_type", "bearer")
        if str(kind).lower() != "bearer":
            raise TokenRefused(f"{self._where()} gave a token of another type than bearer, which Kafka does not take")
        lifetime = _seconds(answer.get("expires_in"))
        return token, None if lifetime is None else asked_at + lifetime, dict(self._extensions)

    def __repr__(self) -> str:
        return f"<ClientCredentials of {self._token_url}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is ClientCredentials and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((self._token_url, self._client_id, self._client_secret))

    def _ask(self) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self._pool is not None:
            return self._asked_by(self._pool, lambda: False)
        from klife.oidc_pool import TimedPool

        with TimedPool(self._timeout, self._context()) as timed:
            return self._asked_by(timed.manager, lambda: timed.is_over)

    def _asked_by(self, pool: urllib3.PoolManager, is_over: Callable[[], bool]) -> tuple[int, bytes]:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError, NewConnectionError
        from urllib3.exceptions import TimeoutError as TimeoutError_

        too_late = f"it was not through within {self._timeout:g} s"
        form = {"grant_type": "client_credentials"} | ({} if self._scope is None else {"scope": self._scope})
        deadline = monotonic() + self._timeout
        try:
            response = pool.request(
                "POST",
                self._token_url,
                body=urlencode(form),
                headers={
                    "Authorization": f"Basic {self._basic()}",
                    "Content-Type": "application/x-www-form-urlencoded",
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",  # an answer that grows when it is unpacked has no bound
                },
                timeout=Timeout(total=self._timeout),
                retries=False,
                redirect=False,  # the secret is for this server
                preload_content=False,
            )
            try:
                answer = response.status, self._read(response, deadline)
            finally:
                response.close()
            if not is_over():  # else it was cut, maybe where an answer may end
                return answer
            reason = too_late
        except (HTTPError, OSError) as error:
            is_late = isinstance(error, TimeoutError_) and not isinstance(error, NewConnectionError)  # which is one to urllib3
            reason = too_late if is_late or is_over() else _root(error)
        raise TokenRefused(f"{self._where()} gave no answer: {reason}")  # not from the error: it has what was sent

    def _context(self) -> ssl.SSLContext | None:
        if not self._token_url.startswith("https"):
            return None
        import ssl

        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except OSError as error:
            raise TokenRefused(f"the ca_file {self._ca_file} can not be read: {error.strerror or error}") from None

    def _read(self, response: Any, deadline: float) -> bytes:
        body = b""
        while chunk := response.read1(65_536, decode_content=False):
            body += chunk
            if len(body) > LARGEST_ANSWER_BYTES:
                raise TokenRefused(f"{self._where()} answered more than {LARGEST_ANSWER_BYTES} bytes; is it a token endpoint?")
            if monotonic() > deadline:
                raise TokenRefused(f"{self._where()} did not end its answer within {self._timeout:g} s")
        return body

    def _basic(self) -> str:
        return b64encode(f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}".encode()).decode()

    def _where(self) -> str:
        return f"the token endpoint {self._token_url}"

    def _words(self, answer: Mapping[str, Any], body: bytes) -> str:
        """What the server says is wrong: OAuth's fields, or the beginning of whatever else it is."""
        told = [str(answer[field]) for field in ("error", "error_description") if answer.get(field)]
        text = self._without_secrets(": ".join(told) or body.decode(errors="replace"))
        text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
        return f": {text[:_LONGEST_WORDS]}{'...' if len(text) > _LONGEST_WORDS else ''}" if text else " without a word"

    def _without_secrets(self, text: str) -> str:
        for secret in (self._basic(), self._client_secret, quote_plus(self._client_secret)):
            text = text.replace(secret, "***")
        return text


def _check_url(url: str) -> None:
    """ValueError, without the URL where a password may be in it."""
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("token_url is no URL; give the token endpoint, such as https://idp.example/oauth2/token")
    if "@" in parts.netloc:
        raise ValueError("token_url has a user in it; give client_id and client_secret instead")
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise ValueError(f"token_url is http, so that everybody between here and {parts.hostname} could read the secret; give https")


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _seconds(lifetime: object) -> float | None:
    """`expires_in`; some servers write it as text. What is no time says nothing."""
    try:
        seconds = float(lifetime)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _root(error: BaseException) -> str:
    """The reason in urllib3's wrappers, without the objects they print."""
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _root(reason)
    return _POOL.sub("", str(error))


@contextmanager
def _no_hub_left_behind() -> Iterator[None]:
    """In a patched program sockets wait in a hub, also in a thread of a pool. One made for this call ends with
    it; otherwise each thread of the pool would keep its own, with an epoll descriptor.
    """
    before = get_hub_if_exists()
    try:
        yield
    finally:
        hub = get_hub_if_exists()
        if hub is not None and before is None:
            stands = hub.join(timeout=_HUB_END_SECONDS)  # where a hub stands that has nothing left to do
            hub.destroy(destroy_loop=True)
            if stands:
                hub.throw(GreenletExit)  # or its frame would keep it for ever
