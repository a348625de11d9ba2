"""`klife produce TOPIC`: each line becomes a record.

The client's own backpressure is the only buffer: when the brokers are slower than the input, `produce_async` waits, and with it the
reading. A line that fails fails alone; the command then ends with exit code 1, after all the others.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import gevent
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from klife.api.client import Client
from klife.api.config import ClientConfig
from klife.cli.lines import LineReader
from klife.cli.terminal import (
    INTERRUPTED,
    Bootstrap,
    ConfigFile,
    configuration,
    ctrl_c_here,
    err,
    errors_as_lines,
    fail,
    out,
    wait_ready,
)
from klife.errors import FlushTimeout, KlifeError, ProduceError
from klife.record import Record
from klife.words import counted

SHOWN_ERRORS = 5
TOPIC_TIMEOUT_SECONDS = 5.0  # a topic that was just created, or that the brokers create for us, is there within one
FLUSH_TIMEOUT_SECONDS = 65.0  # every delivery is settled within its delivery_timeout_ms, 60 s
BUFFERED_BYTES = 16 * 1024 * 1024
REFRESH_SECONDS = 0.1


class Acks(StrEnum):
    """Who must have a record before it counts as delivered."""

    ALL = "all"
    LEADER = "1"
    NOBODY = "0"


_ACKS = {Acks.ALL: "all", Acks.LEADER: 1, Acks.NOBODY: 0}


class Compression(StrEnum):
    """The codec of record batches."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ZSTD = "zstd"


def produce(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic to write to; it must be there.")],
    file: Annotated[Path | None, typer.Option(help="Read lines from this file.", show_default="standard input")] = None,
    key_separator: Annotated[
        str | None, typer.Option(help="What stands between key and value in each line; without it, records have no key.")
    ] = None,
    partition: Annotated[int | None, typer.Option(min=0, help="The partition to write to.", show_default="by key")] = None,
    compression: Annotated[Compression | None, typer.Option(help="How batches are compressed.", show_default="none")] = None,
    acks: Annotated[
        Acks | None, typer.Option(help="Whose confirmation counts: all replicas in sync, 1 (the leader), or 0.", show_default="all")
    ] = None,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Write lines to a topic, one record a line."""
    if key_separator == "":
        fail("--key-separator is empty; give what stands between key and value, such as ':'")
    with contextlib.ExitStack() as stack:
        stack.enter_context(errors_as_lines())
        stack.enter_context(ctrl_c_here())
        descriptor = _opened(file, stack)
        warned: list[str] = []
        settings = configuration(
            bootstrap,
            config,
            warned=warned,
            acks=None if acks is None else _ACKS[acks],
            enable_idempotence=None if acks is None else acks is Acks.ALL,
            compression_type=None if compression is None else compression.value,
        )
        if "max_buffered_bytes" not in settings.model_fields_set:
            settings = ClientConfig.build(settings, max_buffered_bytes=BUFFERED_BYTES)
        client = stack.enter_context(Client.start(settings))
        for warning in warned if key_separator else ():
            err.print(f"klife: {warning}")
        _check_topic(client, topic, partition)
        lines = Lines(client, topic, partition, key_separator.encode() if key_separator else None)
        interrupted = lines.send(LineReader(descriptor))
    # Nobody confirms a record at acks 0.
    lines.report("sent" if settings.acks == 0 else "delivered")
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if lines.failed or lines.unreadable:
        raise typer.Exit(1)


class Lines:
    """The lines of one run, and what became of them."""

    def __init__(self, client: Client, topic: str, partition: int | None, separator: bytes | None) -> None:
        self._client = client
        self._topic = topic
        self._partition = partition
        self._separator = separator
        self._began = time.monotonic()
        self._taken = 0  # not counting one that Ctrl-C kept from the buffer
        self.delivered: int = 0
        self.unreadable: str = ""  # why the input was not read to its end
        self._errors: list[str] = []

    @property
    def failed(self) -> int:
        """Lines that are not, or not certainly, in the topic. Right once the client was stopped."""
        return self._taken - self.delivered

    def send(self, reader: LineReader) -> bool:
        """Send all lines and stop the client; whether Ctrl-C came before. A second Ctrl-C leaves behind what is not delivered yet."""
        interrupted = False
        with self._progress(reader):
            try:
                self._send_all(reader)
                with contextlib.suppress(FlushTimeout):  # the report counts what is not delivered
                    self._client.flush(FLUSH_TIMEOUT_SECONDS)
            except KeyboardInterrupt:
                interrupted = True
                err.print("sending what was read; Ctrl-C again gives up")
            with contextlib.suppress(KeyboardInterrupt):
                self._client.stop(FLUSH_TIMEOUT_SECONDS)
        self._client.stop(timeout=0)
        return interrupted

    def report(self, done: str) -> None:
        """Print the counts, and the first errors; `done` is what became of the lines that are not among them."""
        for error in self._errors:
            err.print(error, markup=False, style="red")
        if self.failed > len(self._errors):
            err.print(f"... and {counted(self.failed - len(self._errors), 'more line')} failed")
        if self.unreadable:
            err.print(f"klife: {self.unreadable}; neither it nor what comes after it was sent", markup=False, style="red")
        seconds = time.monotonic() - self._began
        out.print(f"{self.delivered} {done}, {self.failed} failed in {seconds:.1f} s")

    def _send_all(self, reader: LineReader) -> None:
        try:
            for number, line in enumerate(reader, 1):
                self._send_line(number, line)
                self._taken += 1
        except (KlifeError, OSError) as error:
            self.unreadable = f"line {self._taken + 1} cannot be read: {error}"

    def _send_line(self, number: int, line: bytes) -> None:
        key = None
        if self._separator is not None:
            key, found, line = line.partition(self._separator)
            if not found:
                self._note(number, f"the key separator {self._separator.decode()!r} is not in it, so it was not sent")
                return
        try:
            self._client.produce_async(Record(self._topic, line, key, partition=self._partition), partial(self._settled, number))
        except ProduceError as error:
            self._note(number, str(error))

    def _settled(self, number: int, result: Record) -> None:
        if result.error is None:
            self.delivered += 1
        else:
            self._note(number, str(result.error))

    def _note(self, number: int, error: str) -> None:
        if len(self._errors) < SHOWN_ERRORS:
            self._errors.append(f"line {number}: {error}")

    @contextlib.contextmanager
    def _progress(self, reader: LineReader) -> Iterator[None]:
        """A progress bar, unless nobody watches, or somebody types the lines in the same terminal."""
        if not err.is_terminal or reader.is_terminal:
            yield
            return
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn()
        with Progress(*columns, console=err, auto_refresh=False, transient=True) as progress:
            task = progress.add_task(self._topic, total=reader.size)

            def show() -> None:
                description = f"{self.delivered} of {counted(self._taken, 'line')} delivered"
                progress.update(task, completed=reader.bytes_read, description=description, refresh=True)

            def follow() -> None:
                while True:
                    show()
                    gevent.sleep(REFRESH_SECONDS)

            follower = gevent.spawn(follow)
            try:
                yield
            finally:
                follower.kill()
                show()


def _opened(file: Path | None, stack: contextlib.ExitStack) -> int:
    if file is None:
        return sys.stdin.fileno()
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}")
    stack.callback(os.close, descriptor)
    if file.is_dir():
        fail(f"cannot read {file}: it is a directory")
    return descriptor


def _check_topic(client: Client, topic: str, partition: int | None) -> None:
    wait_ready(client)
    count = None
    with gevent.Timeout(TOPIC_TIMEOUT_SECONDS, False):
        count = len(client.partitions(topic))
    if count is None:
        fail(f"the cluster has no topic {topic!r}; create it first (`klife topics` shows what it has). Nothing was sent.")
    if partition is not None and partition >= count:
        fail(f"--partition {partition}: topic {topic!r} has the partitions 0 to {count - 1}")
