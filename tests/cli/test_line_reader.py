"""`LineReader`: lines from any kind of input, whole however they arrive."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from klife.cli.lines import CHUNK_BYTES, LONGEST_LINE_BYTES, LineReader
from klife.errors import KlifeError


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue  # the test closed it


def test_lines_longer_than_a_chunk_and_lines_across_chunks_come_whole(tmp_path: Path) -> None:
    lines = [b"x" * length for length in (0, CHUNK_BYTES - 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 5, 1, 0, 10)]
    file = tmp_path / "lines"
    file.write_bytes(b"\n".join(lines) + b"\n")

    with file.open("rb") as source:
        reader = LineReader(source.fileno())
        assert list(reader) == lines
        assert reader.bytes_read == reader.size == file.stat().st_size


def test_a_line_comes_before_the_writer_goes_on_and_the_hub_runs_meanwhile(pipe: tuple[int, int]) -> None:
    source, sink = pipe
    lines = iter(LineReader(source))

    gevent.spawn(os.write, sink, b"one\ntw")  # runs only if the reader lets it
    assert next(lines) == b"one"
    gevent.spawn(os.write, sink, b"o\n")
    assert next(lines) == b"two"
    os.close(sink)
    assert list(lines) == []


def test_input_without_newlines_is_refused_before_it_fills_the_memory() -> None:
    with open("/dev/zero", "rb") as zeros:
        reader = LineReader(zeros.fileno())
        with pytest.raises(KlifeError, match="is the input text"):
            list(reader)
        assert reader.bytes_read <= LONGEST_LINE_BYTES + CHUNK_BYTES


def test_an_empty_input_has_no_lines() -> None:
    with open(os.devnull, "rb") as nothing:
        assert list(LineReader(nothing.fileno())) == []
