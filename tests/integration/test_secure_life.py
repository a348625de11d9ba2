"""What happens to secured connections in the course of time: sessions end, certificates are replaced, and the
process forks.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from gevent import get_hub

from klife import Client, Record
from klife.admin import AdminClient, NewTopic
from klife.testing.cluster import KafkaCluster
from tests.support import ROOT, SUPPORT
from tests.support.reader import read_topic
from tests.support.secure import MECHANISMS, client_options, secure_kafka, with_options

SECONDS = 12  # more than two sessions, and than the life of a token
TOKEN_SECONDS = 10
PATIENCE = 60.0


def run(command: list[str], environment: dict[str, str]) -> str:
    """What the program printed; it must have ended well."""
    ended = get_hub().threadpool.apply(
        lambda: subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_sessions_end_and_nobody_notices(secure_cluster: KafkaCluster) -> None:
    secure_cluster.create_topic("sessions", partitions=6)
    ways = {
        mechanism: client_options(secure_cluster, "SASL_SSL", mechanism) for mechanism in MECHANISMS if mechanism != "SCRAM-SHA-256"
    }
    ways["control"] = {"bootstrap_servers": secure_cluster.bootstrap_servers}
    command = [sys.executable, "-m", "tests.support.secure_sessions", "sessions", str(SECONDS)]
    with AdminClient(**client_options(secure_cluster, "SASL_SSL", "PLAIN")) as admin:
        admin.create_topics([NewTopic("before", partitions=2)])
        told = json.loads(run(command, with_options(secure_cluster, ways)).splitlines()[-1])
        admin.create_topics([NewTopic("after", partitions=2)])
    clients: dict[str, dict[str, Any]] = told["clients"]
    assert {name: each["since"] for name, each in clients.items()} == dict.fromkeys([*ways, "idle"], 0)
    assert (told["lost"], told["new"]) == (0, 0)
    # The control shares the process, its hub and the brokers: what it waits for is the machine's.
    control = clients["control"]["longest"]
    assert {name: each["longest"] for name, each in clients.items() if each["longest"] > 1.0 + control} == {}
    assert SECONDS // TOKEN_SECONDS < told["tokens"] <= 2 + SECONDS // (0.8 * TOKEN_SECONDS)  # and not once for each broker
    values = [each.value for each in read_topic(secure_cluster.bootstrap_servers, "sessions")]
    assert len(set(values)) == len(values)
    assert set(values) == {f"{name} {number}".encode() for name, each in clients.items() for number in range(each["sent"])}


def test_a_fork_leaves_the_parents_connections_alone(secure_cluster: KafkaCluster) -> None:
    topic = "forked"
    secure_cluster.create_topic(topic, partitions=6)
    options = client_options(secure_cluster, "SASL_SSL")
    command = [sys.executable, str(SUPPORT / "forking.py"), options["bootstrap_servers"], topic, "c"]
    parent, child = sorted(
        map(json.loads, run(command, with_options(secure_cluster, options)).splitlines()), key=lambda line: -len(line["who"])
    )
    assert parent["in_flight_at_the_fork"] > 0
    assert parent["connects"] == 1
    assert child["inherited_sockets"] == 0
    expected = [b"parent %d" % number for number in range(1000)] + [b"child %d" % number for number in range(child["produced"])]
    assert sorted(each.value or b"" for each in read_topic(secure_cluster.bootstrap_servers, topic)) == sorted(expected)


def test_certificates_replaced_on_disk_are_used_when_brokers_have_new_ones(tmp_path: Path) -> None:
    """The broker gets a certificate of another authority, and trusts only that one's clients from then on. The
    client's files become what is needed then, while it is connected.
    """
    with secure_kafka("4.3", brokers=1) as cluster:
        cluster.create_topic("orders", partitions=6)
        old, new = cluster.certificates, cluster.certificates.another_authority()
        tls = {name: shutil.copy(file, tmp_path / name) for name, file in cluster.tls_for("SSL").items()}

        def records(value: bytes) -> list[Record]:
            return [Record("orders", value, partition=each) for each in range(6)]

        with Client.start(cluster.bootstrap_servers_for("SSL"), tls=tls, reconnect_backoff_max_ms=500) as client:
            Record.verify_batch(client.produce_batch(records(b"before")).get(PATIENCE))
            old.trust(new)
            old.renew_server(1, authority=new)
            for name, file in {**new.client(), "ca_file": new.ca_file}.items():
                shutil.copy(file, tls[name])
            cluster.stop(1)
            waiting = client.produce_batch(records(b"meanwhile"))
            cluster.start(1)
            Record.verify_batch(waiting.get(PATIENCE))
        values = sorted(each.value or b"" for each in read_topic(cluster.bootstrap_servers, "orders"))
        assert values == sorted([b"before", b"meanwhile"] * 6)
