"""Kafka's classes in a file that brokers map: when it is written, and what is done without. Java's part of it is
played here; a real broker maps one in tests/testing/test_cluster.py.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest

from klife.testing import shared_classes
from klife.testing.cluster_errors import ClusterError
from klife.testing.cluster_spec import ClusterSpec
from klife.testing.shared_classes import PAYS_AFTER, archive_of, options_for, write

VERSION = "4.3.1"


@pytest.fixture
def java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Java of its own, and an empty cache that has the jars."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "cache" / "klife" / "kafka-jars" / VERSION).mkdir(parents=True)
    (tmp_path / "java").write_text("one")
    return str(tmp_path / "java")


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """How often the classes were written, which takes no broker here."""
    calls: list[Path] = []

    def write_at_once(archive: Any) -> None:
        calls.append(archive)
        archive.write_text("classes")

    monkeypatch.setattr(shared_classes, "_write", write_at_once)
    return calls


def where(_spec: ClusterSpec, archive: Path) -> Any:
    """In place of brokers that would write there."""
    return archive


def started(java: str, brokers: int) -> bool:
    """Whether a cluster of so many has its classes."""
    options = options_for(java, VERSION, brokers, where)
    assert options in ([], [f"-XX:SharedArchiveFile={archive_of(java, VERSION)}"])
    return bool(options)


def test_classes_are_written_once_when_so_many_brokers_were_started_that_it_pays(java: str, written: list[Path]) -> None:
    assert [started(java, 1) for _ in range(PAYS_AFTER + 2)] == [False] * PAYS_AFTER + [True] * 2
    assert len(written) == 1
    assert sorted(path.name for path in archive_of(java, VERSION).parent.iterdir()) == [
        VERSION,
        archive_of(java, VERSION).name,
        archive_of(java, VERSION).with_suffix(".started").name,
    ]


def test_a_large_cluster_does_not_wait_for_a_second(java: str, written: list[Path]) -> None:
    assert not started(java, PAYS_AFTER)
    assert started(java, PAYS_AFTER)
    assert len(written) == 1


def test_another_java_has_a_file_of_its_own(java: str, written: list[Path]) -> None:
    assert started(java, 6)
    Path(java).write_text("another")
    assert not started(java, 1)
    assert len(written) == 1


def test_where_they_can_not_be_written_brokers_start_without_and_it_is_tried_again_later(
    java: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []

    def fail(archive: Any) -> None:
        tried.append(archive)
        raise ClusterError("the broker ended by itself")

    monkeypatch.setattr(shared_classes, "_write", fail)
    assert not any(started(java, 1) for _ in range(2 * PAYS_AFTER + 2))
    assert len(tried) == 2
    monkeypatch.setattr(shared_classes, "_write", tried.append)  # a Java that knows no such files
    assert not started(java, 6)
    assert len(tried) == 3
    assert [path.suffix for path in archive_of(java, VERSION).parent.iterdir() if path.name != VERSION] == [".started"]


def test_while_another_process_writes_them_nobody_waits(java: str, written: list[Path]) -> None:
    with archive_of(java, VERSION).with_suffix(".started").open("ab") as others:
        fcntl.flock(others, fcntl.LOCK_EX)
        assert not started(java, 6)
    assert not written
    assert started(java, 1)
    write(java, VERSION, where)
    assert len(written) == 1


def test_a_cache_that_can_not_be_written_to_serves_what_it_has(java: str, written: list[Path]) -> None:
    archive_of(java, VERSION).with_suffix(".started").mkdir()
    assert not started(java, 6)
    assert not written
    archive_of(java, VERSION).write_text("classes")
    assert started(java, 1)
