"""Lines of a file or of standard input, read without holding the hub.

A read of a terminal, a pipe or a slow disk may last for ever, and no loop can wait for regular files; so reads happen in gevent's
thread pool, while the client's greenlets go on. Never more than one chunk, and the beginning of a line, is in memory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from klife.actors.runtime.thread_pool import call_in_thread
from klife.errors import KlifeError

CHUNK_BYTES = 65_536
LONGEST_LINE_BYTES = 8 * 1024 * 1024
"""Eight times what a broker takes by default (`message.max.bytes`); what is longer has no lines, and would fill the memory."""


class LineReader:
    """Iterates over the lines of a file descriptor, as bytes without their newline.

    `bytes_read` is how far it got, of `size` bytes where that is known.

    Only b"\\n" ends a line: all other bytes belong to the record. The last line needs no newline. KlifeError for a line longer than
    LONGEST_LINE_BYTES, OSError where the descriptor cannot be read.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        status = os.fstat(descriptor)
        self.size: int | None = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.is_terminal: bool = os.isatty(descriptor)
        self.bytes_read: int = 0

    def __iter__(self) -> Iterator[bytes]:
        pieces: list[bytes] = []  # of a line whose end has not come yet
        size = 0
        while chunk := call_in_thread(os.read, self._descriptor, CHUNK_BYTES):
            self.bytes_read += len(chunk)
            first, *rest = chunk.split(b"\n")
            pieces.append(first)
            size += len(first)
            if rest:
                yield b"".join(pieces)
                yield from rest[:-1]
                pieces, size = [rest[-1]], len(rest[-1])
            if size > LONGEST_LINE_BYTES:
                raise KlifeError(f"a line is longer than {LONGEST_LINE_BYTES} bytes: is the input text, one record a line?")
        if size:
            yield b"".join(pieces)
