"""What the listeners of a cluster need beyond an address: certificates, and users (`cluster_users`).

A listener's name says what it speaks, as in Kafka: SSL and SASL_SSL have TLS, SASL_PLAINTEXT and SASL_SSL ask
who is there. Brokers speak to each other, and klife's own tools with them, on PLAINTEXT as ever.

Only clusters that have such listeners import this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from klife.testing.cluster_errors import ClusterError
from klife.testing.cluster_users import MECHANISMS, SCRAM, USER, USERS, login_module, unsecured_tokens
from klife.testing.cluster_zookeeper import needs_zookeeper
from klife.testing.jars import release

if TYPE_CHECKING:
    from klife.testing.certificates import Certificates
    from klife.testing.cluster_spec import ClusterSpec

WITH_TLS = ("SSL", "SASL_SSL")
WITH_SASL = ("SASL_PLAINTEXT", "SASL_SSL")

FIRST_WITH_TLS = (3, 3, 0)  # of those tried, the first that reads a key without a password from a PEM file (KIP-651)
FIRST_SCRAM_OF_ZOOKEEPER = (2, 7, 0)  # by request, KIP-554
FIRST_SCRAM_OF_KRAFT = (3, 5, 0)  # KIP-900


class SecureListeners:
    """The secure listeners of one cluster; `folder` is where the cluster's files are."""

    def __init__(self, spec: ClusterSpec, folder: Path) -> None:
        self._spec = spec
        self._sasl = [name for name in spec.listeners if name in WITH_SASL]
        self._certificates: Certificates | None = None
        self._client: dict[str, str] | None = None
        if any(name in WITH_TLS for name in spec.listeners):
            if release(spec.version) < FIRST_WITH_TLS:
                raise ClusterError(f"listeners with TLS need Kafka 3.3 or newer here, and {spec.version} is wanted")
            self._certificates = _certificates(folder / "certificates")
            for node_id in spec.broker_ids:
                self._certificates.renew_server(node_id)

    @property
    def certificates(self) -> Certificates:
        """Those that brokers use, and who makes more."""
        if self._certificates is None:
            raise ValueError(f"this cluster has the listeners {', '.join(self._spec.listeners)}, and none with TLS")
        return self._certificates

    def properties(self, node_id: int) -> dict[str, object]:
        """What a broker must be told."""
        found: dict[str, object] = {}
        if "authorizer.class.name" in self._spec.config:
            found["super.users"] = "User:ANONYMOUS"  # the brokers themselves, and the cluster's tools
        if self._certificates is not None:
            found |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": self._certificates.key_store(node_id),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": self._certificates.trust_store,
            }
        if self._sasl:
            mechanisms = [name for name in MECHANISMS if name not in SCRAM or self._knows_scram]
            found["sasl.enabled.mechanisms"] = ",".join(mechanisms)
            for listener in self._sasl:
                for mechanism in mechanisms:
                    found[f"listener.name.{listener.lower()}.{mechanism.lower()}.sasl.jaas.config"] = login_module(mechanism)
        return found

    def tls_for(self, listener: str, changes: Mapping[str, object]) -> dict[str, Any]:
        """The option `tls` of a client; see `KafkaCluster.tls_for`."""
        if listener not in WITH_TLS or listener not in self._spec.listeners:
            raise ValueError(f"this cluster has no listener {listener!r} with TLS; its listeners are {', '.join(self._spec.listeners)}")
        options: dict[str, object] = {"ca_file": self.certificates.ca_file}
        if self._asks_for_certificates(listener):
            self._client = self._client or self.certificates.client(USER)
            options |= self._client
        return {name: value for name, value in {**options, **changes}.items() if value is not None}

    def sasl_for(self, mechanism: str, user: str, token_seconds: float) -> dict[str, Any]:
        """The option `sasl` of a client; see `KafkaCluster.sasl_for`."""
        if not self._sasl:
            raise ValueError(f"this cluster has the listeners {', '.join(self._spec.listeners)}, and none with SASL")
        if mechanism not in MECHANISMS:
            raise ValueError(f"there is no mechanism {mechanism!r}: they are {', '.join(MECHANISMS)}")
        if user not in USERS:
            raise ValueError(f"there is no user {user!r}: they are {', '.join(map(repr, USERS))}")
        if mechanism == "OAUTHBEARER":
            return {"mechanism": mechanism, "token_provider": unsecured_tokens(user, token_seconds)}
        if mechanism in SCRAM and not self._knows_scram:
            raise ClusterError(
                f"users of {mechanism} can not be made in Kafka {self._spec.version}: "
                "that takes Kafka 3.5, or with a ZooKeeper (what is older than 3.3) 2.7"
            )
        return {"mechanism": mechanism, "username": user, "password": USERS[user]}

    @property
    def has_scram_users(self) -> bool:
        """Whether there are users of SCRAM to be made."""
        return bool(self._sasl) and self._knows_scram

    @property
    def _knows_scram(self) -> bool:
        first = FIRST_SCRAM_OF_ZOOKEEPER if needs_zookeeper(self._spec) else FIRST_SCRAM_OF_KRAFT
        return release(self._spec.version) >= first

    def _asks_for_certificates(self, listener: str) -> bool:
        """Kafka's rule: with SASL, only the listener's own setting counts."""
        of_all = "none" if listener in WITH_SASL else self._spec.config.get("ssl.client.auth", "none")
        return self._spec.config.get(f"listener.name.{listener.lower()}.ssl.client.auth", of_all) != "none"


def _certificates(folder: Path) -> Certificates:
    try:
        from klife.testing.certificates import Certificates
    except ModuleNotFoundError as error:
        raise ClusterError(f'listeners with TLS need certificates: pip install "klife[testing]" ({error})') from error
    return Certificates(folder)
