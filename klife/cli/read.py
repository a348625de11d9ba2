"""`klife read TOPIC`: records become lines, as they come.

It reads as the testing helpers do (`klife.testing.consumer`): from the leaders, without a consumer group, up to the high watermark,
or to the last stable offset where committed records alone are wanted. What it has in memory is at most one answer of each leader.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from klife.api.settings import connection_settings
from klife.cli.terminal import (
    CONNECT_TIMEOUT_SECONDS,
    INTERRUPTED,
    Bootstrap,
    ConfigFile,
    configuration,
    ctrl_c_here,
    errors_as_lines,
    fail,
)
from klife.record import Record
from klife.testing.consumer import READ_COMMITTED, READ_UNCOMMITTED, Log, LogReader


class IsolationLevel(StrEnum):
    """As Kafka names them."""

    UNCOMMITTED = "read_uncommitted"
    COMMITTED = "read_committed"


def read(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic to read.")],
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest record there is.")] = False,
    last: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Begin N offsets before each partition's end.", show_default="at the end")
    ] = None,
    partition: Annotated[list[int] | None, typer.Option(min=0, help="Read this partition; once for each.", show_default="all")] = None,
    until_end: Annotated[bool, typer.Option("--until-end", help="End where the topic ends now, and do not wait for more.")] = False,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after N records.", show_default="never")] = None,
    isolation_level: Annotated[
        IsolationLevel, typer.Option(help="Whether records of open and aborted transactions are written, too.")
    ] = IsolationLevel.UNCOMMITTED,
    key_separator: Annotated[str | None, typer.Option(help="Write keys too, and this between key and value.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write all there is of a record, as an object of JSON.")] = False,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Write what comes into a topic, one record a line: its value, until Ctrl-C."""
    if until_end and last is None and not from_beginning:
        fail("--until-end with nothing before the end: say where to begin, with --from-beginning or --last")
    if last is not None and from_beginning:
        fail("--last and --from-beginning: give one of them")
    if as_json and key_separator is not None:
        fail("--json has the key anyway; --key-separator is for lines without it")
    level = READ_COMMITTED if isolation_level is IsolationLevel.COMMITTED else READ_UNCOMMITTED
    line = _json if as_json else _text(key_separator)
    with errors_as_lines(), ctrl_c_here(), _quietly_without_reader():
        settings = configuration(bootstrap, config)
        servers = ",".join(settings.bootstrap_servers)
        with LogReader(servers, timeout=CONNECT_TIMEOUT_SECONDS, settings=connection_settings(settings)) as reader:
            ends = _chosen(reader.end_offsets([topic], isolation_level=level), topic, partition)
            begins = ends if last is None and not from_beginning else reader.begin_offsets([topic])
            positions = {log: max(begins[log], end - (end if last is None else last)) for log, end in ends.items()}
            left = count
            try:
                for records in _rounds(reader, positions, ends if until_end else None, level):
                    records = records[:left]
                    sys.stdout.buffer.write(b"".join(map(line, records)))
                    sys.stdout.buffer.flush()
                    if left is not None and not (left := left - len(records)):
                        break
            except KeyboardInterrupt:
                raise typer.Exit(INTERRUPTED) from None


def _chosen(ends: dict[Log, int], topic: str, partitions: list[int] | None) -> dict[Log, int]:
    there = {log.partition for log in ends}
    if unknown := [index for index in partitions or () if index not in there]:
        fail(f"--partition {unknown[0]}: topic {topic!r} has the partitions 0 to {len(there) - 1}")
    return {log: end for log, end in ends.items() if not partitions or log.partition in partitions}


def _rounds(reader: LogReader, positions: dict[Log, int], ends: dict[Log, int] | None, level: int) -> Iterator[list[Record]]:
    """What is there from `positions` on, for ever or up to `ends`."""
    if ends is None:
        yield from reader.follow(positions, isolation_level=level)
        return
    left = {log: position for log, position in positions.items() if position < ends[log]}
    by_partition = {log.partition: end for log, end in ends.items()}
    while left:
        # One round, of the partitions that have more.
        records = next(reader.follow(left, isolation_level=level))
        yield [record for record in records if _offset(record) < by_partition[_partition(record)]]
        left = {log: position for log, position in left.items() if position < ends[log]}


def _offset(record: Record) -> int:
    assert record.offset is not None
    return record.offset


def _partition(record: Record) -> int:
    assert record.partition is not None
    return record.partition


def _text(key_separator: str | None) -> Callable[[Record], bytes]:
    if key_separator is None:
        return lambda record: (record.value or b"") + b"\n"
    separator = key_separator.encode()
    return lambda record: (record.key or b"") + separator + (record.value or b"") + b"\n"


def _json(record: Record) -> bytes:
    fields = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": _text_or_base64(record.key),
        "value": _text_or_base64(record.value),
        "headers": [[name, _text_or_base64(value)] for name, value in record.headers],
    }
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def _text_or_base64(data: bytes | None) -> Any:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


@contextlib.contextmanager
def _quietly_without_reader() -> Iterator[None]:
    """End well where whoever read standard output has enough, as `head` does."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what the interpreter still flushes
        raise typer.Exit from None
