"""Kafka's own classes read what klife writes, in every codec and at its extreme levels, and klife reads what
they write.
"""

from __future__ import annotations

import json
import random
import subprocess
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import pytest

from klife.protocol.codecs import CODECS, LEVELS
from klife.protocol.errors import DecodeError
from klife.protocol.record_decode import RecordBatch, TimestampType, decode_batches
from tests.support import TESTS
from tests.support.encoded_records import RecordTuple, encode_batch

ORACLE = TESTS / "oracle" / "RecordsOracle.java"
NOW = 1_760_000_000_000
IDS = {"producer_id": 1 << 40, "producer_epoch": 3, "base_sequence": (1 << 31) - 2}

noise = random.Random(1)
CASES: dict[str, list[RecordTuple]] = {
    "one record": [(b"key", b"value", (), NOW)],
    "nulls and empties": [(None, None, (), NOW), (b"", b"", (), NOW), (None, b"", (), NOW), (b"", None, (), NOW)],
    "headers": [
        (b"k", b"v", (("b", b"2"), ("a", b"1"), ("b", None), ("", b""), ("größe", "鍵".encode())), NOW),
        (None, None, tuple((f"h{n}", b"x" * n) for n in range(200)), NOW),
    ],
    "timestamps in no order": [(None, b"v", (), NOW + delta) for delta in (0, 5000, -7, 1 << 40, -NOW - 1, 63, 64, -64, -65)],
    "larger than a block of any codec": [(b"k", noise.randbytes(90_000), (), NOW), (b"k", b"klife" * 60_000, (), NOW)],
    "thousands of records": [(b"%d" % (n % 7), b"value %d" % n, (), NOW + n // 10) for n in range(9000)],
}
LEVELLED = [(codec, level) for codec, levels in LEVELS.items() for level in (levels.minimum, levels.maximum, levels.default)]


def text(content: bytes | None) -> str | None:
    return None if content is None else b64encode(content).decode()


def java_records(records: list[RecordTuple], base_offset: int) -> list[dict[str, Any]]:
    return [
        {
            "offset": base_offset + delta,
            "timestamp": timestamp,
            "key": text(key),
            "value": text(value),
            "headers": [[name, text(content)] for name, content in headers],
        }
        for delta, (key, value, headers, timestamp) in enumerate(records)
    ]


def java_batch(records: list[RecordTuple], codec: int, *, append_time: bool = False, magic: int = 2) -> dict[str, Any]:
    return {
        "magic": magic,
        "codec": codec,
        "base_offset": 1 << 33,
        "leader_epoch": 17,
        "append_time": append_time,
        "transactional": magic == 2,
        "max_timestamp": NOW + 99,
        **(IDS if magic == 2 else {"producer_id": -1, "producer_epoch": -1, "base_sequence": -1}),
        "records": java_records(records, 1 << 33),
    }


class Questions:
    """What is asked of the one JVM, and its answers, each by name."""

    def __init__(self) -> None:
        self.read: dict[tuple[str, ...], bytes] = {}
        self.write: dict[tuple[str, ...], dict[str, Any]] = {}
        for codec, number in CODECS.items():
            for case, records in CASES.items():
                self.read[codec, case] = encode_batch(records, codec=number, is_transactional=True, **IDS)
                self.write[codec, case] = java_batch(records, number)
        for codec, level in LEVELLED:
            self.read[codec, str(level)] = encode_batch(CASES["thousands of records"], codec=CODECS[codec], level=level)
        damaged = bytearray(self.read["none", "one record"])
        damaged[-1] ^= 1
        self.read["damaged",] = bytes(damaged)
        self.write["append time",] = java_batch(CASES["timestamps in no order"], 0, append_time=True)
        self.write["magic 0",] = java_batch(CASES["one record"], 0, magic=0)
        self.write["magic 1",] = java_batch(CASES["one record"], 0, magic=1)

    def ask(self, kafka_jars: Path) -> Answers:
        question = {"read": [text(batch) for batch in self.read.values()], "write": list(self.write.values())}
        command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{kafka_jars}/*", str(ORACLE)]
        done = subprocess.run(command, input=json.dumps(question), capture_output=True, encoding="utf-8", timeout=280)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        return Answers(
            dict(zip(self.read, answer["read"], strict=True)),
            dict(zip(self.write, map(b64decode, answer["written"]), strict=True)),
        )


class Answers:
    def __init__(self, read: dict[tuple[str, ...], Any], written: dict[tuple[str, ...], bytes]) -> None:
        self.read = read
        self.written = written


@pytest.fixture(scope="module")
def java(kafka_jars: Path) -> Answers:
    return Questions().ask(kafka_jars)


def content_of(batch: RecordBatch) -> list[RecordTuple]:
    return [(record.key, record.value, record.headers, record.timestamp_ms) for record in batch.records]


every_codec = pytest.mark.parametrize("codec", CODECS)
every_case = pytest.mark.parametrize("case", CASES)


@every_codec
@every_case
def test_kafka_reads_what_klife_wrote(java: Answers, codec: str, case: str) -> None:
    records = CASES[case]
    assert java.read[codec, case] == [
        {
            "codec": CODECS[codec],
            "base_offset": 0,
            "leader_epoch": -1,
            "append_time": False,
            "transactional": True,
            "control": False,
            "last_offset": len(records) - 1,
            "max_timestamp": max(timestamp for _, _, _, timestamp in records),
            **IDS,
            "records": java_records(records, 0),
        }
    ]


@pytest.mark.parametrize(("codec", "level"), LEVELLED)
def test_kafka_reads_every_level(java: Answers, codec: str, level: int) -> None:
    (batch,) = java.read[codec, str(level)]
    assert batch["records"] == java_records(CASES["thousands of records"], 0)


@every_codec
@every_case
def test_klife_reads_what_kafka_wrote(java: Answers, codec: str, case: str) -> None:
    (batch,) = decode_batches(java.written[codec, case])
    assert content_of(batch) == CASES[case]
    assert batch.codec == CODECS[codec]
    assert (batch.producer_id, batch.producer_epoch, batch.base_sequence) == tuple(IDS.values())
    assert (batch.base_offset, batch.partition_leader_epoch, batch.is_transactional) == (1 << 33, 17, True)
    assert [record.offset for record in batch.records] == list(range(1 << 33, (1 << 33) + len(batch.records)))


@every_case
def test_uncompressed_batches_are_byte_for_byte_kafkas(java: Answers, case: str) -> None:
    ours = encode_batch(CASES[case], is_transactional=True, **IDS)
    theirs = java.written["none", case]
    # The first sixteen bytes are base offset, length and leader epoch: the broker's to set, but for the
    # length.
    assert (ours[8:12], ours[16:]) == (theirs[8:12], theirs[16:])


def test_klife_reads_a_topics_append_time(java: Answers) -> None:
    (batch,) = decode_batches(java.written["append time",])
    assert batch.timestamp_type is TimestampType.LOG_APPEND_TIME
    assert {record.timestamp_ms for record in batch.records} == {NOW + 99}


@pytest.mark.parametrize("magic", [0, 1])
def test_message_sets_that_kafka_wrote_in_the_old_formats_are_named(java: Answers, magic: int) -> None:
    with pytest.raises(DecodeError, match=rf"magic {magic}, the format of Kafka before 0\.11"):
        decode_batches(java.written[f"magic {magic}",])


def test_kafka_would_have_refused_damage(java: Answers) -> None:
    assert "Record is corrupt" in java.read["damaged",]["error"]
