"""The four codecs, against other implementations of their formats, and against data that lies. Java's side:
test_records_java.
"""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import time
import zlib
from threading import Event, Thread

import cramjam
import lz4.frame
import pytest
import zstandard
from cramjam import snappy
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib
from zlib_ng import zlib_ng

from klife.protocol.codecs import CODECS, LEVELS, QUICK_SIZES, compress, decompress, quick_size
from klife.protocol.errors import DecodeError

NONE, GZIP, SNAPPY, LZ4, ZSTD = CODECS.values()
ROOM = 1 << 20
TEXT = b"".join(b"order %d is on its way; " % n for n in range(10_000))

every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())
every_compression = pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD], ids=["gzip", "snappy", "lz4", "zstd"])


@given(st.binary(max_size=500), st.sampled_from(list(CODECS.values())))
def test_what_was_compressed_comes_back(data: bytes, codec: int) -> None:
    assert decompress(codec, compress(codec, data), ROOM) == data


@every_codec
@pytest.mark.parametrize("size", [0, 1, 32767, 32768, 32769, 65535, 65536, 65537, 200_000, ROOM - 1, ROOM, ROOM + 1])
def test_sizes_around_the_blocks_of_the_containers_come_back(codec: int, size: int) -> None:
    data = (TEXT * 5)[:size]
    assert decompress(codec, compress(codec, data), 2 * ROOM) == data


@pytest.mark.parametrize(("name", "level"), [(name, level) for name, levels in LEVELS.items() for level in {*levels}])
def test_every_codec_takes_its_extreme_levels(name: str, level: int) -> None:
    assert decompress(CODECS[name], compress(CODECS[name], TEXT, level), ROOM) == TEXT


@pytest.mark.parametrize(("name", "fast", "small"), [("gzip", 1, 9), ("lz4", 9, 12), ("zstd", -1000, 19)])
def test_a_level_makes_a_difference(name: str, fast: int, small: int) -> None:
    assert len(compress(CODECS[name], TEXT, small)) < len(compress(CODECS[name], TEXT, fast))


@pytest.mark.parametrize("name", LEVELS)
def test_no_level_is_the_default_level(name: str) -> None:
    assert compress(CODECS[name], TEXT) == compress(CODECS[name], TEXT, LEVELS[name].default)


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [("gzip", (-1, 1, 9), (-2, 0, 10)), ("lz4", (1, 9, 17), (-1, 0, 18)), ("zstd", (-131072, 0, 22), (-131073, 23))],
)
def test_levels_are_those_of_javas_producer(name: str, allowed: tuple[int, ...], refused: tuple[int, ...]) -> None:
    assert all(LEVELS[name].allows(level) for level in allowed)
    assert not any(LEVELS[name].allows(level) for level in refused)


def test_other_libraries_read_gzip_lz4_and_zstd() -> None:
    assert gzip.decompress(compress(GZIP, TEXT)) == TEXT
    assert bytes(cramjam.lz4.decompress(compress(LZ4, TEXT))) == TEXT
    assert zstandard.ZstdDecompressor().decompress(compress(ZSTD, TEXT)) == TEXT


def test_snappy_is_written_in_javas_framing() -> None:
    written = compress(SNAPPY, TEXT)
    assert written[:16] == b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"
    assert int.from_bytes(written[16:20], "big") == len(written[20:])
    assert bytes(snappy.decompress_raw(written[20:])) == TEXT


def test_snappy_without_javas_framing_is_read() -> None:
    assert decompress(SNAPPY, bytes(snappy.compress_raw(TEXT)), ROOM) == TEXT


@pytest.mark.parametrize(
    "options",
    [
        {"store_size": False},
        {"store_size": True},
        {"block_checksum": True, "content_checksum": True},
        {"block_size": lz4.frame.BLOCKSIZE_MAX4MB, "content_checksum": True},
        {"block_size": lz4.frame.BLOCKSIZE_MAX256KB, "compression_level": 12},
    ],
    ids=str,
)
def test_every_kind_of_lz4_frame_that_java_reads_is_read(options: dict[str, int]) -> None:
    assert decompress(LZ4, lz4.frame.compress(TEXT, block_linked=False, **options), ROOM) == TEXT


def test_an_lz4_frame_of_another_library_is_read() -> None:
    compressor = cramjam.lz4.Compressor(level=4, content_checksum=True, block_linked=False)
    compressor.compress(TEXT)
    assert decompress(LZ4, bytes(compressor.finish()), ROOM) == TEXT


GZIP_LEVELS = {None: "zlib_ng", -1: "zlib_ng", 1: "isal", 2: "zlib", 3: "zlib", **dict.fromkeys(range(4, 10), "zlib_ng")}


@pytest.mark.parametrize("level", GZIP_LEVELS)
def test_gzip_is_of_the_library_that_is_best_at_its_level(level: int | None) -> None:
    number = -1 if level is None else level
    by = {"zlib": zlib, "zlib_ng": zlib_ng, "isal": isal_zlib}[GZIP_LEVELS[level]]
    written = compress(GZIP, TEXT, level)
    assert written == by.compress(TEXT, number, 31)
    assert gzip.decompress(written) == TEXT
    assert len(written) < 1.05 * len(zlib.compress(TEXT, number))


WITHOUT = """
import sys, zlib
sys.modules["isal"] = sys.modules["zlib_ng"] = None
from klife.protocol.codecs import compress
print(all(compress(1, b"order" * 99, level) == zlib.compress(b"order" * 99, level, 31) for level in (-1, *range(1, 10))))
"""


def test_gzip_needs_nothing_but_zlib() -> None:
    ran = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, encoding="utf-8", timeout=60)
    assert ran.stdout.strip() == "True", ran.stderr


SMALL_BLOCKS, LARGE_BLOCKS = (65536, b"\x60\x40\x82"), (262_144, b"\x60\x50\xfb")


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, len(TEXT), 262_144, 262_145])
@pytest.mark.parametrize("level", [None, 1, 9, 12, 17])
def test_lz4_is_written_in_frames_that_java_reads(level: int | None, size: int) -> None:
    # Version 1, independent blocks, no checksums and no size; the checksum of that; at the end, four zeros.
    data = (TEXT * 2)[:size]
    written = compress(LZ4, data, level)
    largest, descriptor = LARGE_BLOCKS if level in (None, 9) and size > 65536 else SMALL_BLOCKS
    assert written[:7] == b"\x04\x22\x4d\x18" + descriptor
    assert written[-4:] == bytes(4)
    at, blocks = 7, 0
    while length := int.from_bytes(written[at : at + 4], "little") & 0x7FFFFFFF:
        at, blocks = at + 4 + length, blocks + 1
    assert (at + 4, blocks) == (len(written), -(-size // largest))
    assert lz4.frame.decompress(written) == data


def test_lz4_of_a_large_batch_is_smaller_than_in_the_blocks_of_javas_producer() -> None:
    words = " ".join(random.Random(1).choices(TEXT[:3000].decode().split(), k=60_000)).encode()
    javas = lz4.frame.compress(words, block_size=lz4.frame.BLOCKSIZE_MAX64KB, block_linked=False, store_size=False)
    assert len(compress(LZ4, words)) < 0.98 * len(javas)


@every_compression
def test_what_is_compressed_in_many_threads_at_once_is_what_one_makes(codec: int) -> None:
    batches = [bytes([n]) * 1000 + (TEXT * 4)[n * 1000 : n * 1000 + 150_000 // (n + 1)] for n in range(8)]
    frames: dict[int, set[bytes]] = {n: set() for n in range(8)}

    def work(n: int) -> None:
        for _ in range(10):
            frames[n].add(compress(codec, batches[n]))

    threads = [Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert frames == {n: {compress(codec, batch)} for n, batch in enumerate(batches)}
    assert all(decompress(codec, frame, ROOM) == batches[n] for n, each in frames.items() for frame in each)


@pytest.mark.parametrize("level", [-131072, 1, 3, 4, 22])
def test_a_zstd_frame_owes_nothing_to_the_one_before(level: int) -> None:
    alone = zstandard.ZstdCompressor(level=level).compress(TEXT[:20_000])
    for before in (b"", TEXT[:20_000], TEXT):
        compress(ZSTD, before, level)
        assert len(compress(ZSTD, TEXT[:20_000], level)) == len(alone)
        assert zstandard.ZstdDecompressor().decompress(compress(ZSTD, TEXT[:20_000], level)) == TEXT[:20_000]


@pytest.mark.parametrize("size", [1, 1000, 65536, 100_000, 262_144, 800_000])
def test_lz4_stores_what_it_cannot_compress(size: int) -> None:
    noise = random.Random(1).randbytes(size)
    assert decompress(LZ4, compress(LZ4, noise), ROOM) == noise
    assert len(compress(LZ4, noise)) <= len(noise) + 7 + 4 * -(-size // 65536) + 4


def test_an_lz4_frame_of_linked_blocks_is_refused_as_java_refuses_it() -> None:
    with pytest.raises(DecodeError, match="independent blocks"):
        decompress(LZ4, lz4.frame.compress(TEXT, block_linked=True), ROOM)


def test_a_zstd_frame_without_its_size_is_read() -> None:
    stream = zstandard.ZstdCompressor().compressobj()
    frame = stream.compress(TEXT) + stream.flush()
    assert zstandard.frame_content_size(frame) == -1
    assert decompress(ZSTD, frame, ROOM) == TEXT


def test_zstd_frames_may_follow_one_another() -> None:
    frame = compress(ZSTD, TEXT)
    assert decompress(ZSTD, frame + frame, ROOM) == TEXT + TEXT


@every_codec
def test_the_limit_is_the_last_size_that_is_allowed(codec: int) -> None:
    data = compress(codec, TEXT)
    assert decompress(codec, data, len(TEXT)) == TEXT
    for limit in (len(TEXT) - 1, 65536, 1, 0):
        with pytest.raises(DecodeError, match=f"larger than the {limit} bytes allowed"):
            decompress(codec, data, limit)


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD], ids=["gzip", "lz4", "zstd"])
def test_data_cut_at_any_byte_is_an_error(codec: int) -> None:
    data = compress(codec, TEXT[:100])
    for cut in range(len(data)):
        with pytest.raises(DecodeError, match="damaged"):
            decompress(codec, data[:cut], ROOM)


def test_snappy_cut_inside_a_block_is_an_error() -> None:
    # Its framing has no end: after the header, and after any block, nothing is missing.
    data = compress(SNAPPY, TEXT[:100])
    for cut in range(17, len(data)):
        with pytest.raises(DecodeError, match="damaged"):
            decompress(SNAPPY, data[:cut], ROOM)


@every_compression
@pytest.mark.parametrize("data", [b"", b"\0", b"not compressed at all, rather plain text"])
def test_data_of_no_codec_is_an_error_in_all(codec: int, data: bytes) -> None:
    if codec == SNAPPY and data == b"\0":
        assert decompress(codec, data, ROOM) == b""
    else:
        with pytest.raises(DecodeError, match="damaged"):
            decompress(codec, data, ROOM)


@pytest.mark.parametrize("codec", [GZIP, LZ4, ZSTD], ids=["gzip", "lz4", "zstd"])
def test_anything_after_the_end_is_an_error(codec: int) -> None:
    with pytest.raises(DecodeError, match="damaged"):
        decompress(codec, compress(codec, TEXT) + b"\0", ROOM)


@pytest.mark.parametrize("codec", [-1, 5, 6, 7])
def test_an_unknown_codec_is_an_error(codec: int) -> None:
    with pytest.raises(DecodeError, match=f"codec {codec}; Kafka has codecs 0 to 4"):
        decompress(codec, b"", ROOM)


HARD = random.Random(1).randbytes(80_000) + TEXT[:80_000]


# Each takes some tenths of a second.
@pytest.mark.parametrize(("name", "level", "times"), [("gzip", 9, 60), ("snappy", None, 300), ("lz4", 17, 40), ("zstd", 22, 10)])
def test_other_threads_run_while_one_compresses_at_the_slowest_level(name: str, level: int | None, times: int) -> None:
    began, ended, data = Event(), Event(), HARD * times

    def work() -> None:
        began.set()
        compress(CODECS[name], data, level)
        ended.set()

    Thread(target=work).start()
    began.wait()
    turns = 0
    while not ended.is_set():
        time.sleep(0.001)
        turns += 1
    assert turns > 20


def test_what_is_quick_at_every_default_level_is_not_at_the_slowest() -> None:
    assert {name: quick_size(codec, None) for name, codec in CODECS.items()} == QUICK_SIZES
    for name, levels in LEVELS.items():
        assert quick_size(CODECS[name], levels.default) == QUICK_SIZES[name]
        assert quick_size(CODECS[name], levels.maximum) < QUICK_SIZES[name]


def test_snappy_is_what_google_s_library_makes_in_the_framing_of_java_s() -> None:
    long = TEXT * 5
    blocks = [bytes(snappy.compress_raw(long[start : start + ROOM])) for start in range(0, len(long), ROOM)]
    framed = b"".join(len(block).to_bytes(4, "big") + block for block in blocks)
    assert compress(SNAPPY, long) == b"\x82SNAPPY\0" + b"\0\0\0\1" * 2 + framed
    assert decompress(SNAPPY, blocks[0], ROOM) == long[:ROOM]


BOMBS = """
import resource, sys, zlib
from cramjam import lz4, snappy
from klife.protocol.errors import DecodeError
from klife.protocol.record_decode import decode_batches
from klife.protocol.records import seal
from tests.support.encoded_records import encode_batch

MIB = 1 << 20
nothing = bytes(MIB)
squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
snappy_block = bytes(snappy.compress_raw(nothing))
lz4_block = bytes(lz4.compress_block(nothing[:65536], store_size=False))
run_of_128_kib = ((128 * 1024 << 3) | 2).to_bytes(3, "little") + b"\\0"
bombs = {
    "gzip": (1, b"".join(squeeze.compress(nothing) for _ in range(256)) + squeeze.flush()),
    "snappy": (2, b"\\x82SNAPPY\\0" + b"\\0\\0\\0\\1" * 2 + (len(snappy_block).to_bytes(4, "big") + snappy_block) * 256),
    "snappy, one block": (2, b"\\xff\\xff\\xff\\xff\\x0f" + snappy_block),
    "snappy, claiming what is allowed": (2, b"\\x80\\x80\\x40" + b"\\0" * 100),
    "lz4": (3, b"\\x04\\x22\\x4d\\x18\\x60\\x40\\x82" + (len(lz4_block).to_bytes(4, "little") + lz4_block) * 4096 + bytes(4)),
    "zstd": (4, b"\\x28\\xb5\\x2f\\xfd\\0\\x38" + run_of_128_kib * 2048 + b"\\1\\0\\0"),
    "zstd, claiming its size": (4, b"\\x28\\xb5\\x2f\\xfd\\xe0" + b"\\xff" * 7 + b"\\x3f" + run_of_128_kib * 2048 + b"\\1\\0\\0"),
}
batches = {name: b"".join(seal(payload, 1, 0, 0, codec=codec)) for name, (codec, payload) in bombs.items()}
half = encode_batch([(None, bytes(600 * 1024), (), 0)], codec=4)
batches["each within the limit, but not together"] = half + half
for codec in (1, 2, 3, 4):
    decode_batches(encode_batch([(None, b"", (), 0)], codec=codec))

used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 32 * MIB, used + 32 * MIB))
for name, batch in batches.items():
    try:
        decode_batches(batch, max_decompressed_bytes=MIB)
        print(name, "was not refused")
    except DecodeError as error:
        print(f"{name}: {error}")
"""


def test_zip_bombs_are_refused_without_the_memory_they_ask_for() -> None:
    ran = subprocess.run([sys.executable, "-c", BOMBS], capture_output=True, encoding="utf-8", timeout=60)
    assert ran.returncode == 0, ran.stderr
    refusals = dict(line.split(": ", 1) for line in ran.stdout.splitlines())
    claimed = refusals.pop("snappy, claiming what is allowed")
    assert claimed == "a batch's snappy data is damaged: 103 bytes said to hold 1048576"
    assert len(refusals) == 7
    for name, refusal in refusals.items():
        assert "once decompressed" in refusal or "too much memory" in refusal, f"{name}: {refusal}"


def test_a_client_that_does_not_compress_does_not_load_the_codecs() -> None:
    program = "import sys; from klife.protocol import record_decode, records; print('cramjam' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", timeout=60)
    assert ran.stdout.strip() == "False", ran.stderr
