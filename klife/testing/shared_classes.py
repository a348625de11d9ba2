"""Kafka's classes as a broker has loaded and verified them, in a file that other JVMs map (Java's class data
sharing): a broker starts with half the processor time, and so does the tool that formats its storage.

    ~/.cache/klife/kafka-jars/4.3.1-1f0c9a3e.jsa         of these jars and this Java; about 50 MB
                              4.3.1-1f0c9a3e.started     how many brokers were started without, a byte each

To write it takes a broker of its own, and what five starts are quicker by: so it is written when as many have
been started. Where that fails, a Java before 13 or a full disk, it is tried again after as many more. The JVM
looks itself whether a file is of its own version and of the same jars; if not, it goes on without.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from klife.admin import AdminClient, AdminError, NewTopic
from klife.protocol.errors import DecodeError
from klife.testing.cluster_errors import ClusterError
from klife.testing.cluster_processes import kept, wait_until
from klife.testing.cluster_spec import ClusterSpec
from klife.testing.jars import kafka_jars

if TYPE_CHECKING:
    from collections.abc import Callable

    from klife.testing.cluster_backend import Backend

    MakeBackend = Callable[[ClusterSpec, Path], Backend]
    """Of brokers that write the classes when they are stopped, and where to."""

PAYS_AFTER = 5
READY_TIMEOUT_SECONDS = 90


def options_for(java: str, version: str, brokers: int, make: MakeBackend) -> list[str]:
    """What JVMs of a cluster of so many brokers are told, so that they map the classes; nothing where there is
    no file. It is written first, if it is time.
    """
    archive = archive_of(java, version)
    with contextlib.suppress(OSError):  # a cache that others filled, and that may only be read
        if not archive.exists() and _are_enough(archive, brokers):
            write(java, version, make)
    return [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []


def archive_of(java: str, version: str) -> Path:
    """Where the classes of this release are, or would be, for this Java."""
    program = Path(java).resolve()
    status = program.stat()
    name = hashlib.sha256(f"{program} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:8]
    jars = kafka_jars(version)
    return jars.with_name(f"{jars.name}-{name}.jsa")


def write(java: str, version: str, make: MakeBackend) -> None:
    """Write the file, unless another process is at it, or has just been, or it can not be written."""
    archive = archive_of(java, version)
    with _count_of(archive).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        lock.truncate(0)
        if archive.exists():
            return
        with kept(Path(tempfile.mkdtemp(prefix=f"{archive.stem}.part-", dir=archive.parent))) as keeper:
            unfinished = keeper.folder / archive.name
            with contextlib.suppress(ClusterError, AdminError, DecodeError):
                _write(make(ClusterSpec(1, version), unfinished))
                unfinished.rename(archive)


def _write(backend: Backend) -> None:
    try:
        backend.up()
        address = backend.addresses("PLAINTEXT")[1]
        with AdminClient(address) as admin:
            if not wait_until(lambda: _serves(backend, admin, address), READY_TIMEOUT_SECONDS):
                raise ClusterError("the broker does not serve")
            admin.create_topics([NewTopic("any", 1, 1)])
        backend.stop(1)
    finally:
        backend.down()


def _serves(backend: Backend, admin: AdminClient, address: str) -> bool:
    if backend.ended():
        raise ClusterError("the broker ended by itself")
    try:
        return 1 in admin.live_brokers(address)
    except (OSError, DecodeError, AdminError):
        return False


def _are_enough(archive: Path, brokers: int) -> bool:
    """Whether these brokers, with those that were started before, make up for what the file costs."""
    with _count_of(archive).open("ab") as count:
        count.write(b"." * brokers)
        count.flush()
        return os.fstat(count.fileno()).st_size > PAYS_AFTER


def _count_of(archive: Path) -> Path:
    return archive.with_suffix(".started")
