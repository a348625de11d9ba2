"""What a SASL mechanism of your own is made of: `sasl={"mechanism": ...}` takes an object that does what
`Mechanism` says. docs/security.md shows one.
"""

from __future__ import annotations

from klife.protocol.errors import AuthenticationFailed
from klife.protocol.handshake import Compute, TokenWanted
from klife.protocol.sasl.mechanism import Mechanism, SaslExchange, Says
from klife.protocol.sasl.token import Token

__all__ = ["AuthenticationFailed", "Compute", "Mechanism", "SaslExchange", "Says", "Token", "TokenWanted"]
