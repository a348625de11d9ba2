"""Kafka's own message codec, asked over a pipe: the other end is `tests/oracle/MessageOracle.java`, which
says how.

Starting a JVM takes most of a second and an answer a fraction of a millisecond, so a test session has one of
them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from tests.support import TESTS

ORACLE = TESTS / "oracle" / "MessageOracle.java"


class JavaRefused(Exception):
    """Kafka could not read or write it; the text is Kafka's reason."""


class Decoded(NamedTuple):
    """What Kafka read, as its JSON, and the bytes it would write for that."""

    values: Any
    rewritten: bytes


class JavaCodec:
    """Kafka's codec. Names are those of its generated classes, such as "ProduceRequestData". Close it, or use
    it in a `with`.
    """

    def __init__(self, kafka_jars: Path) -> None:
        # A short life of small methods: the optimising compiler would cost more than it saves.
        command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{kafka_jars}/*", str(ORACLE)]
        self._jvm = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8", bufsize=-1)

    def encode(self, name: str, version: int, values: Any) -> bytes:
        """The bytes Kafka writes for `values` (JSON as its converters want it). Raises JavaRefused."""
        (written,) = self._ask("encode", name, version, json.dumps(values))
        return bytes.fromhex(written)

    def decode(self, name: str, version: int, data: bytes) -> Decoded:
        """What Kafka makes of `data`. Raises JavaRefused, also where bytes are left over."""
        values, rewritten = self._ask("decode", name, version, data.hex())
        return Decoded(json.loads(values), bytes.fromhex(rewritten))

    def header_versions(self, name: str, version: int) -> tuple[int, int]:
        """The versions of the headers before request and response of the API that message `name` belongs to."""
        request, response = self._ask("headers", name, version)
        return int(request), int(response)

    def _ask(self, verb: str, name: str, version: int, payload: str = "") -> list[str]:
        assert self._jvm.stdin is not None
        assert self._jvm.stdout is not None
        self._jvm.stdin.write(f"{verb}\t{name}\t{version}\t{payload}\n")
        self._jvm.stdin.flush()
        status, *answer = self._jvm.stdout.readline().rstrip("\n").split("\t")
        if status != "ok":
            raise JavaRefused(f"{verb} {name} v{version}: {answer[0] if answer else 'the JVM ended; its reason is on stderr'}")
        return answer

    def __enter__(self) -> JavaCodec:
        return self

    def __exit__(self, *_: object) -> None:
        self._jvm.communicate()  # closes its stdin, which ends it, and collects it
