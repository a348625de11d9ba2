"""Kafka's own jars, resolved by Maven and kept in the user's cache: a real broker without a download of Kafka
and without a container.

    kafka_jars()         -> ~/.cache/klife/kafka-jars/4.3.1     about 55 MB; seconds the first time, nothing
    after kafka_jars("3.9")    -> ~/.cache/klife/kafka-jars/3.9.1

The folder appears by a rename when it is complete, and one process at a time resolves a version, so a folder
that is there can be used.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gevent

from klife.testing.cluster_errors import BackendUnavailable, NoSuchRelease
from klife.testing.cluster_processes import kept
from klife.testing.java import home_of_wheel, installed_java

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_VERSION = "4.3.1"
TRIED = ("2.4.1", "2.8.2", "3.0.2", "3.3.2", "3.5.2", "3.7.2", "3.9.1", "4.0.0", "4.1.0", "4.3.1")
LATEST_PATCH = {version.rpartition(".")[0]: version for version in TRIED}
"""What a series stands for: the patch releases this was tried with. Any other version is taken as it is
written.
"""
OLDEST = (2, 4, 0)
"""The first release that klife speaks with, and the first with these jars (Scala 2.13)."""

RESOLVE_TIMEOUT_SECONDS = 600
POM = Path(__file__).with_name("pom.xml")


def full_version(version: str | None) -> str:
    """The release a `version=` means: None is the default, a series such as "3.9" its patch release."""
    return DEFAULT_VERSION if version is None else LATEST_PATCH.get(version, version)


def release(version: str) -> tuple[int, int, int]:
    """The three numbers of a release, so that two can be compared. NoSuchRelease for what is none, or one too
    old.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version, re.ASCII):
        raise NoSuchRelease(
            f"{version!r} is not a release of Kafka; expected three numbers such as {DEFAULT_VERSION}, "
            f"or one of the series {', '.join(LATEST_PATCH)}"
        )
    major, minor, patch = (int(number) for number in version.split("."))
    if (major, minor, patch) < OLDEST:
        raise NoSuchRelease(f"Kafka {version} is too old: klife needs Kafka {OLDEST[0]}.{OLDEST[1]} or newer")
    return major, minor, patch


def cache_folder() -> Path:
    """The folder of klife in the user's cache: below `$XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "klife"


def jars_folder(version: str) -> Path:
    """Where the jars of this version are, or would be."""
    return cache_folder() / "kafka-jars" / full_version(version)


def kafka_jars(version: str = DEFAULT_VERSION) -> Path:
    """The folder with the jars of a Kafka broker and its tools, resolved by Maven when it is not in the cache
    yet.

    Raises NoSuchRelease when this is no release, or Maven finds none of this number; BackendUnavailable, with
    the end of Maven's output, when Maven is missing or cannot resolve it.
    """
    release(full_version(version))
    folder = jars_folder(version)
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():  # another process may have resolved it while this one waited
                _resolve(full_version(version), folder)
    return folder


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file lock; the kernel gives it back if this process dies.

    Waits by polling: a blocking flock would freeze the hub.
    """
    deadline = time.monotonic() + RESOLVE_TIMEOUT_SECONDS
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BackendUnavailable(
                        f"another process has held {path} for {RESOLVE_TIMEOUT_SECONDS} s; is its Maven stuck?"
                    ) from None
                gevent.sleep(0.2)
        yield


def _resolve(version: str, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise BackendUnavailable(f"Maven (mvn) is not on the PATH, and the jars of Kafka {version} are not in {folder} yet")
    # Beside the target, because a rename does not cross file systems; owned by a keeper, so that Maven and
    # the half-filled folder go with us.
    work = Path(tempfile.mkdtemp(prefix=f"{version}.part-", dir=folder.parent))
    with kept(work) as keeper:
        output = work / "maven.log"
        goal = "dependency:copy-dependencies"
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={work / 'jars'}", f"-Dkafka.version={version}"]
        keeper.spawn("maven", [*_with_java(), maven, "-B", "-q", "-f", str(POM), goal, *options], output)
        status = keeper.wait("maven", RESOLVE_TIMEOUT_SECONDS)
        if status != 0:
            end = "\n".join(output.read_text(errors="replace").strip().splitlines()[-20:])
            # The second form is what Maven remembers of an earlier attempt.
            if missing := re.search(
                rf":kafka_2\.13:jar:{re.escape(version)} (?:was not found )?in ([^\n]+?)(?: ->| during |\n|$)", end
            ):
                raise NoSuchRelease(
                    f"there is no Kafka {version} in {missing[1]}; the releases this was tried with are {', '.join(TRIED)}"
                )
            how = f"did not end within {RESOLVE_TIMEOUT_SECONDS} s" if status is None else f"failed with status {status}"
            raise BackendUnavailable(f"Maven {how} while resolving Kafka {version}; the end of its output:\n{end}")
        (work / "jars").rename(folder)


def _with_java() -> list[str]:
    """What starts Maven with a Java to run on, where none is installed."""
    home = None if installed_java() else home_of_wheel()
    return [] if home is None else [shutil.which("env") or "/usr/bin/env", f"JAVA_HOME={home}"]
