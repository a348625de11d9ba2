"""The settings of tls and sasl as keywords, for type checkers and editors: what `TlsConfig` and `SaslConfig` take,
which is more than what they hold (a path, a password as text).

As in `keywords`, a test compares them with the table of options.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Required, TypedDict

from pydantic import SecretStr

from klife.api.config.option_types import SaslMechanismName
from klife.protocol.sasl.mechanism import Mechanism


class TlsKeywords(TypedDict, total=False):
    """Of `TlsConfig`."""

    ca_file: str | os.PathLike[str] | None
    cert_file: str | os.PathLike[str] | None
    key_file: str | os.PathLike[str] | None
    key_password: str | SecretStr | None
    check_hostname: bool


class SaslKeywords(TypedDict, total=False):
    """Of `SaslConfig`."""

    mechanism: Required[SaslMechanismName | Mechanism]
    username: str | None
    password: str | SecretStr | None
    token_provider: Callable[[], Any] | None
