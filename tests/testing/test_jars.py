"""Resolving Kafka's jars. Maven is played by a script; the real one is used by every real cluster on a fresh
machine.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from klife.testing.cluster import KafkaCluster
from klife.testing.cluster_errors import BackendUnavailable, NoSuchRelease
from klife.testing.jars import DEFAULT_VERSION, full_version, jars_folder, kafka_jars

MAVEN = """#!/bin/sh
echo run >> "$CALLS"
for argument; do case $argument in -DoutputDirectory=*) target=${argument#*=};; -Dkafka.version=*) version=${argument#*=};; esac; done
missing="org.apache.kafka:kafka_2.13:jar:$version"
case $version in
    9.9.9) echo "[ERROR] $missing: Could not find artifact $missing in central (https://repo) -> [Help 1]"; exit 1;;
    9.9.8) echo "[ERROR] $missing was not found in https://repo during a previous attempt. This failure was cached"; exit 1;;
    9.9.7) echo "Could not transfer artifact $missing from/to central (https://repo): Unknown host -> [Help 1]"; exit 1;;
esac
sleep 0.5
mkdir -p "$target" && touch "$target/kafka-$version.jar"
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the stand-in for Maven counts its runs; it is first on the PATH, and the cache is
    empty.
    """
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(MAVEN)
    maven.chmod(maven.stat().st_mode | stat.S_IXUSR)
    path = tmp_path / "calls"
    path.touch()
    monkeypatch.setenv("CALLS", str(path))
    monkeypatch.setenv("PATH", f"{maven.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def test_a_series_means_a_patch_release_and_a_release_itself() -> None:
    assert full_version(None) == full_version("4.3") == DEFAULT_VERSION
    assert full_version("3.9") == "3.9.1"
    assert full_version("2.4") == "2.4.1"
    assert full_version("4.2.0") == "4.2.0"


def test_jars_are_resolved_once_and_then_come_from_the_cache(calls: Path) -> None:
    first = kafka_jars("3.9")
    assert [jar.name for jar in first.iterdir()] == ["kafka-3.9.1.jar"]
    assert kafka_jars("3.9.1") == first
    assert calls.read_text() == "run\n"


def test_two_processes_that_resolve_at_once_run_maven_once_and_both_get_the_jars(calls: Path) -> None:
    command = [sys.executable, "-c", "from klife.testing.jars import kafka_jars; print(len(list(kafka_jars().iterdir())))"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=30)[0] for process in processes] == ["1\n", "1\n"]
    assert calls.read_text() == "run\n"


@pytest.mark.parametrize(("version", "where"), [("9.9.9", r"central \(https://repo\)"), ("9.9.8", "https://repo")])
def test_a_release_that_maven_does_not_find_is_an_error_that_names_others(calls: Path, version: str, where: str) -> None:
    with pytest.raises(NoSuchRelease, match=rf"there is no Kafka {version} in {where}; the releases .* are 2\.4\.1, .* 4\.3\.1$"):
        kafka_jars(version)
    assert [path.name for path in jars_folder(version).parent.iterdir()] == [f"{version}.lock"]


def test_a_maven_that_fails_is_an_error_with_its_words_and_leaves_nothing_behind(calls: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"(?s)status 1 .*Could not transfer artifact"):
        kafka_jars("9.9.7")
    assert [path.name for path in jars_folder("9.9.7").parent.iterdir()] == ["9.9.7.lock"]


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("latest", "'latest' is not a release of Kafka; expected three numbers such as 4.3.1"),
        ("4.2", "'4.2' is not a release of Kafka; .* series 2.4, .* 4.3"),
        ("../4.3.1", "is not a release"),
        ("", "'' is not a release"),
        ("2.3.1", "Kafka 2.3.1 is too old: klife needs Kafka 2.4 or newer"),
    ],
)
def test_what_is_no_release_is_refused_before_maven_is_asked_and_no_other_way_is_tried(calls: Path, version: str, why: str) -> None:
    with pytest.raises(NoSuchRelease, match=why):
        KafkaCluster(version=version).up()
    assert calls.read_text() == ""


def test_without_maven_the_error_says_so(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BackendUnavailable, match="mvn"):
        kafka_jars()
