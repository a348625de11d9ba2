"""`python -m tests.support.shared_cluster FOLDER`: the three brokers that the suites of both_builds.py share,
where a test has its `kafka_cluster`.

They start when a suite first asks (`shared_with`), and end with standard input. A line there before the end
has their logs kept, and tells where.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gevent
from gevent.fileobject import FileObjectThread

from klife.testing.cluster import LOGS_NOTE, KafkaCluster
from klife.testing.cluster_errors import ClusterError
from klife.testing.cluster_processes import wait_until

WANTED = "wanted"
ADDRESSES = "addresses"
PATIENCE_SECONDS = 250.0  # less than a test may take, and more than the cluster does


def shared_with(folder: Path) -> str:
    """The addresses of the brokers, when they serve."""
    (folder / WANTED).touch()
    if not wait_until((folder / ADDRESSES).exists, PATIENCE_SECONDS):
        raise ClusterError(f"the brokers that the suites share do not serve after {PATIENCE_SECONDS} s")
    return (folder / ADDRESSES).read_text()


def main(folder: Path) -> None:
    commands = gevent.spawn(FileObjectThread(sys.stdin.buffer, "rb").readline)
    while not (folder / WANTED).exists():
        if commands.ready():
            return
        gevent.sleep(0.1)
    with KafkaCluster() as cluster:
        unfinished = folder / "unfinished"
        unfinished.write_text(cluster.bootstrap_servers)
        unfinished.rename(folder / ADDRESSES)
        if commands.get():
            print(f"{LOGS_NOTE}{cluster.keep_logs()}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
