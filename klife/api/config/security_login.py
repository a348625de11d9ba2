"""Who logs in, among the properties: mechanism, user and password, or an OpenID Connect server to ask for
tokens. Java's clients have the latter in `sasl.jaas.config`, librdkafka each in a property of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from klife.api.config.jaas import LoginModule, parse_jaas
from klife.api.config.words import describe

_MECHANISMS = ("sasl.mechanism", "sasl.mechanisms")
_JAAS = "sasl.jaas.config"
_TOKEN_URL = "sasl.oauthbearer.token.endpoint.url"
_OIDC: dict[str, tuple[str, ...]] = {  # argument of ClientCredentials -> properties; the first is named in errors
    "token_url": (_TOKEN_URL,),
    "client_id": ("sasl.oauthbearer.client.id", "sasl.oauthbearer.client.credentials.client.id"),
    "client_secret": ("sasl.oauthbearer.client.secret", "sasl.oauthbearer.client.credentials.client.secret"),
    "scope": ("sasl.oauthbearer.scope",),
    "extensions": ("sasl.oauthbearer.extensions",),
    "ca_file": ("https.ca.location",),
}
_OIDC_IN_JAAS = {  # Java's names, and those of Strimzi's OAuth library
    "clientId": "client_id",
    "clientSecret": "client_secret",
    "scope": "scope",
    "oauth.client.id": "client_id",
    "oauth.client.secret": "client_secret",
    "oauth.scope": "scope",
    "oauth.token.endpoint.uri": "token_url",
}
_EXTENSION = "extension_"
_HANDLERS = ("sasl.login.callback.handler.class", "sasl.client.callback.handler.class", "sasl.oauthbearer.jwt.retriever.class")
_KNOWN_HANDLERS = (
    "OAuthBearerLoginCallbackHandler",
    "JaasClientOauthLoginCallbackHandler",
    "ClientCredentialsJwtRetriever",
    "DefaultJwtRetriever",
    "IAMClientCallbackHandler",
)
_METHOD = "sasl.oauthbearer.method"
_MODULES = {
    "PlainLoginModule": ("PLAIN",),
    "ScramLoginModule": ("SCRAM-SHA-256", "SCRAM-SHA-512"),
    "OAuthBearerLoginModule": ("OAUTHBEARER",),
    "IAMLoginModule": ("AWS_MSK_IAM",),
    "Krb5LoginModule": ("GSSAPI",),
}

SASL_NAMES = (
    *_MECHANISMS,
    "sasl.username",
    "sasl.password",
    _JAAS,
    *(name for names in _OIDC.values() for name in names),
    _METHOD,
    *_HANDLERS,
)


class Login:
    """The settings of the option sasl, which property each is from, and what is wrong."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []

    def take(self, setting: str, value: Any, origin: str) -> None:
        """Note one setting; its second value is a problem, unless it is the first."""
        if setting in self.settings and self.settings[setting] != value:
            self.problems.append(
                f"{origin}: means the same as {self.origins[setting]}, and says something else; leave one of the two out"
            )
            return
        self.settings.setdefault(setting, value)
        self.origins.setdefault(setting, origin)


class LoginReader:
    """Reads the properties of `SASL_NAMES`."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {name: value for name, value in given.items() if value not in (None, "")}
        self._login = Login()
        self._oidc = Login()  # of ClientCredentials

    def read(self) -> Login:
        """Settings, origins and problems."""
        login = self._login
        for name in _MECHANISMS:
            if name in self._given:
                value = self._given[name]
                login.take("mechanism", value.strip() if isinstance(value, str) else value, name)
        for setting in ("username", "password"):
            if f"sasl.{setting}" in self._given:
                login.take(setting, self._given[f"sasl.{setting}"], f"sasl.{setting}")
        self._read_oidc()
        self._read_jaas()
        self._read_handlers()
        if self._oidc.settings:
            self._make_provider()
        login.problems += self._oidc.problems
        return login

    def _read_oidc(self) -> None:
        for argument, names in _OIDC.items():
            for name in names:
                value = self._given.get(name)
                if value is None:
                    continue
                if argument == "extensions":
                    self._read_extensions(name, value)
                else:
                    self._oidc.take(argument, value, name)

    def _read_extensions(self, name: str, value: Any) -> None:
        pairs = [part.partition("=") for part in str(value).split(",")]
        if not all(key.strip() and sign for key, sign, _ in pairs):
            self._login.problems.append(f"{name}: expected name=value, several of them separated by commas")
            return
        self._oidc.take("extensions", {key.strip(): text.strip() for key, _, text in pairs}, name)

    def _read_jaas(self) -> None:
        text = self._given.get(_JAAS)
        if text is None:
            return
        if not isinstance(text, str):
            self._login.problems.append(f"{_JAAS}: got {describe(text, secret=True)}, expected a str")
            return
        problem: str | None
        try:
            module = parse_jaas(text)
        except ValueError as error:
            problem = f"{_JAAS}: {error}"
        else:
            problem = self._take_module(module)
        if problem:
            self._login.problems.append(problem)

    def _take_module(self, module: LoginModule) -> str | None:
        """Take its options, or say what is wrong with it."""
        mechanisms = _MODULES.get(module.name)
        if mechanisms is None:
            return f"{_JAAS}: klife does not know its login module; it knows {', '.join(_MODULES)}"
        mechanism = self._login.settings.get("mechanism")
        if isinstance(mechanism, str) and mechanism not in mechanisms:
            return f"{_JAAS}: its {module.name} is for {' and '.join(mechanisms)}, and sasl.mechanism is {describe(mechanism)}"
        if module.name == "OAuthBearerLoginModule":
            return self._take_oauth(module.options)
        if module.options.get("tokenauth", "false").lower() == "true":
            return f"{_JAAS}: klife has no delegation tokens (tokenauth); give a user's own name and password"
        for setting in ("username", "password"):
            if setting in module.options:
                self._login.take(setting, module.options[setting], _JAAS)
        return None

    def _take_oauth(self, options: Mapping[str, str]) -> str | None:
        if any(name.startswith("unsecuredLogin") for name in options):
            return f"{_JAAS}: unsecured tokens, which are for tests, can not be made; give a token_provider that makes them"
        for name, argument in _OIDC_IN_JAAS.items():
            if name in options:
                self._oidc.take(argument, options[name], _JAAS)
        extensions = {name.removeprefix(_EXTENSION): value for name, value in options.items() if name.startswith(_EXTENSION)}
        if extensions:
            self._oidc.take("extensions", extensions, _JAAS)
        return None

    def _read_handlers(self) -> None:
        for name in _HANDLERS:
            value = self._given.get(name)
            if value is not None and not str(value).strip().endswith(_KNOWN_HANDLERS):
                self._login.problems.append(f"{name}: has no equivalent in klife; give a token_provider in the option sasl")
        method = self._given.get(_METHOD)
        if method is not None and str(method).strip().lower() not in ("oidc", "default"):
            self._login.problems.append(
                f'{_METHOD}: got {describe(method)}, expected "oidc"; for others give a token_provider in the option sasl'
            )

    def _make_provider(self) -> None:
        settings, origins = self._oidc.settings, self._oidc.origins
        missing = [argument for argument in ("token_url", "client_id", "client_secret") if argument not in settings]
        if missing:
            given = next(iter(origins.values()))
            self._login.problems += [f"{_OIDC[argument][0]}: missing; {given} is of no use without it" for argument in missing]
            self._login.take("token_provider", _no_token, given)  # so that it is not missed too
            return
        from klife.oidc import ClientCredentials

        try:
            provider: Any = ClientCredentials(**settings)
        except (ImportError, ValueError) as error:
            self._login.problems.append(f"{origins['token_url']}: {error}")
            provider = _no_token
        self._login.take("token_provider", provider, origins["token_url"])


def _no_token() -> None:
    """Stands for a provider that could not be made."""
