"""What `klife cluster up` tells of secure listeners: files of properties, with all that a client needs. They
are beside the state file, and go with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from klife.testing.cluster import ClusterError, KafkaCluster

_TLS = {"ca_file": "ssl.ca.location", "cert_file": "ssl.certificate.location", "key_file": "ssl.key.location"}
_PREFERRED = "SCRAM-SHA-512"


@contextlib.contextmanager
def property_files(cluster: KafkaCluster, listeners: Sequence[str], state_path: Path) -> Iterator[dict[str, str]]:
    """A file for each of these listeners but PLAINTEXT, for the length of the block; their paths."""
    files = {name: state_path.with_name(f"{state_path.stem}-{name}.properties") for name in listeners if name != "PLAINTEXT"}
    try:
        for name, path in files.items():
            path.touch(mode=0o600)
            path.write_text("".join(f"{key}={value}\n" for key, value in client_properties(cluster, name).items()))
        yield {name: str(path) for name, path in files.items()}
    finally:
        for path in files.values():
            path.unlink(missing_ok=True)


def client_properties(cluster: KafkaCluster, listener: str) -> dict[str, str]:
    """What a client of this listener needs, in the names that librdkafka and klife know."""
    found = {"bootstrap.servers": cluster.bootstrap_servers_for(listener), "security.protocol": listener}
    if listener.endswith("SSL"):
        found |= {_TLS[option]: value for option, value in cluster.tls_for(listener).items()}
    if listener.startswith("SASL_"):
        try:
            sasl = cluster.sasl_for(_PREFERRED)
        except ClusterError:  # an old release
            sasl = cluster.sasl_for("PLAIN")
        found |= {f"sasl.{option}": value for option, value in sasl.items()}
    return found
