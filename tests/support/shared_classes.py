"""`python -m tests.support.shared_classes ARCHIVE`: write Kafka's classes, as a broker has loaded and verified
them, into a file that other brokers map into their memory (Java's class data sharing).

With `-XX:SharedArchiveFile=ARCHIVE` in KAFKA_JVM_PERFORMANCE_OPTS a broker starts with two thirds of the
processor time. Java looks itself whether the archive is of its own version and of the same jars; if not, or
if there is none (yet), the broker starts as it does without.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from unittest.mock import patch

from klife import Client, Record
from klife.testing.cluster import KafkaCluster
from klife.testing.cluster_jars import OPTIONS_VARIABLE, JarsBackend


def write(archive: Path) -> None:
    unfinished = archive.with_suffix(".part")
    options = f"{os.environ.get(OPTIONS_VARIABLE, '')} -XX:ArchiveClassesAtExit={shlex.quote(str(unfinished))}"
    start = JarsBackend.start

    def starting(self: JarsBackend, node_id: int) -> None:
        os.environ[OPTIONS_VARIABLE] = options  # not before: the tool that formats the storage would write one as well
        start(self, node_id)

    with patch.object(JarsBackend, "start", starting), KafkaCluster(brokers=1, backend="jars") as cluster:
        cluster.create_topic("orders", 1)
        with Client.start(cluster.bootstrap_servers) as client:
            client.produce(Record("orders", b"v")).get(60)
        cluster.stop(1)
    unfinished.rename(archive)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
