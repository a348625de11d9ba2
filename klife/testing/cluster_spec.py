"""The description of a test cluster that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LISTENERS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """What was asked for.

    `version` is a full release, `listeners` has PLAINTEXT, `config` extra broker properties, `port` the first broker's port or None for
    free ones, `proxies` what brokers advertise on a listener PROXIED, by id; without any there is no such
    listener.
    """

    brokers: int
    version: str
    listeners: tuple[str, ...] = ("PLAINTEXT",)
    config: Mapping[str, object] = field(default_factory=dict)
    port: int | None = None
    proxies: Mapping[int, str] = field(default_factory=dict)

    @property
    def is_secure(self) -> bool:
        """Whether a listener needs certificates or users."""
        return any(name not in ("PLAINTEXT", "PROXIED") for name in self.listeners)

    @property
    def broker_ids(self) -> range:
        return range(1, self.brokers + 1)
