"""The compiled core: it is what the sources say, and there is a way round it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from textwrap import dedent

import pytest

import klife
from klife.core import MODULES
from tests.support import ROOT

SOURCES = [ROOT / (name.replace(".", "/") + ".py") for name in MODULES]


def compiled_files(source: Path) -> list[Path]:
    return [path for suffix in EXTENSION_SUFFIXES if (path := source.with_suffix("").with_name(source.stem + suffix)).exists()]


def run(program: str, folder: Path = ROOT, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if name != "KLIFE_PURE"}
    command = [sys.executable, "-c", dedent(program)]
    ended = subprocess.run(command, cwd=folder, env={**inherited, **environment}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_what_is_tested_is_compiled_unless_pure_python_was_asked_for() -> None:
    assert klife.compiled == (os.environ.get("KLIFE_PURE", "") in ("", "0"))


def test_what_is_compiled_is_no_older_than_its_source() -> None:
    for source in SOURCES:
        for compiled in compiled_files(source):
            assert compiled.stat().st_mtime >= source.stat().st_mtime, f"{source} has changed: python setup.py build_ext --inplace"


def test_nothing_else_is_compiled_for_this_python() -> None:
    compiled = {path for path in (ROOT / "klife").rglob("*.so") if path.name[path.name.index(".") :] in EXTENSION_SUFFIXES}
    assert compiled <= {path for source in SOURCES for path in compiled_files(source)}, "python setup.py build_ext --inplace"


def test_a_module_of_the_core_is_one_that_says_so() -> None:
    declared = {path.with_suffix(".py") for path in (ROOT / "klife").rglob("*.pxd")}
    assert set(SOURCES) == {path for path in declared if path.exists()}
    speaking = {path for path in (ROOT / "klife").rglob("*.py") if "\nfrom klife import cython_shim as cython\n" in path.read_text()}
    assert speaking <= set(SOURCES)
    for path in speaking:  # else nothing of what it says reaches Cython
        assert re.search(r"^if (not TYPE_CHECKING and )?cython\.compiled:.*\n    import cython$", path.read_text(), re.MULTILINE), path


WHERE = """
    import sys, klife
    from importlib import import_module
    from klife.core import MODULES
    kinds = {import_module(name).__file__.rpartition(".")[2] for name in MODULES}
    print(klife.compiled, *kinds)
"""


def test_in_pure_python_all_of_the_core_are_sources() -> None:
    assert run(WHERE, KLIFE_PURE="1").split() == ["False", "py"]
    assert run(WHERE, KLIFE_PURE="0").split() == ["True", "so"]


def test_where_one_compiled_module_is_missing_none_is_used(tmp_path: Path) -> None:
    for package in ("klife", "supervision"):
        (tmp_path / package).symlink_to(ROOT / package) if package == "supervision" else _copy_of(ROOT / package, tmp_path / package)
    missing = tmp_path / "klife/actors/producer/batcher.py"
    for file in compiled_files(missing):
        file.unlink()
    path = os.pathsep.join([str(tmp_path), str(tmp_path / "supervision")])
    assert run(WHERE, tmp_path, PYTHONPATH=path).split() == ["False", "py"]


@pytest.mark.parametrize("compiler", ["false", "no-such-compiler"])
def test_where_nothing_can_be_compiled_klife_is_installed_without_it(tmp_path: Path, compiler: str) -> None:
    (tmp_path / "klife").mkdir()
    (tmp_path / "README.md").touch()
    pxds = ("klife/record.pxd", "klife/capi.pxd", "klife/freeing.pxd", "klife/making.pxd")
    for file in ("setup.py", "klife/core.py", "klife/record.py", *pxds):
        (tmp_path / file).write_text((ROOT / file).read_text())
    ended = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "KLIFE_PURE"} | {"CC": compiler},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "klife is installed without its compiled core" in ended.stdout + ended.stderr
    assert not compiled_files(tmp_path / "klife/record.py")


def test_a_build_in_place_removes_what_this_python_would_import_and_leaves_other_pythons_theirs(tmp_path: Path) -> None:
    (tmp_path / "klife").mkdir()
    (tmp_path / "README.md").touch()
    for file in ("setup.py", "klife/core.py"):
        (tmp_path / file).write_text((ROOT / file).read_text())
    for name, text in [("kept.py", "kept = True\n"), ("kept.pxd", ""), ("gone.py", "")]:
        (tmp_path / "klife" / name).write_text(text)
    former = [tmp_path / "klife" / f"gone{suffix}" for suffix in EXTENSION_SUFFIXES]
    others = [tmp_path / "klife" / f"{name}.cpython-399-x86_64-linux-gnu.so" for name in ("gone", "kept")]
    for compiled in former + others:
        compiled.touch()
    inherited = {name: value for name, value in os.environ.items() if name != "KLIFE_PURE"}
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    ended = subprocess.run(command, cwd=tmp_path, env=inherited, capture_output=True, text=True, check=False)
    assert len(compiled_files(tmp_path / "klife/kept.py")) == 1, ended.stdout + ended.stderr
    assert [compiled for compiled in former + others if compiled.exists()] == others


def _copy_of(folder: Path, into: Path) -> None:
    for file in folder.rglob("*"):
        if file.suffix in (".py", ".pxd", ".so"):
            copy = into / file.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(file)


@pytest.mark.parametrize("pure", ["0", "1"])
def test_the_modules_can_be_imported_in_any_order(pure: str) -> None:
    program = f"""
        import os, sys
        import gevent, pydantic, structlog  # once, in the parent: the children import klife's own, each beginning with another

        for name in {MODULES!r}:
            if os.fork() == 0:
                __import__(name)
                os._exit(0)
            assert os.wait()[1] == 0, name
    """
    run(program, KLIFE_PURE=pure)


BYTES = """
    import hashlib, random
    from klife import Record
    from klife.actors.producer.murmur2 import murmur2
    from klife.protocol.produce_wire import BatchesRequest
    from klife.protocol.records import encode_payload, encode_plain
    from tests.support.encoded_records import bound_of, encode_batch, fields_of

    source, seen = random.Random(5), hashlib.sha256()

    def some_bytes():
        return source.choice([None, b"", source.randbytes(source.randrange(200)), source.randbytes(source.randrange(20_000))])

    def record():
        headers = [(source.choice(["trace", "\u00e9t\u00e9"]), some_bytes()) for _ in range(source.choice([0, 0, 0, 1, 70]))]
        return some_bytes(), some_bytes(), headers, 1_700_000_000_000 + source.choice([0, 0, 1, -1, 10**6, -10**12])

    for count in [1] * 200 + [2, 63, 64, 65, 300, 9_000]:
        records = [record() for _ in range(count)] if count < 1_000 else [(None, b"v", (), 5)] * count
        for codec in (0, 1, 2, 3, 4):
            ids = dict(producer_id=source.randrange(2**62), producer_epoch=3, base_sequence=source.randrange(2**31))
            batch = encode_batch(records, codec=codec, **ids)
            seen.update(batch if codec != 1 else encode_payload(fields_of(records), bound_of(records))[0])  # gzip writes the time
        seen.update(b"".join(encode_plain(fields_of(records), bound_of(records), **ids, is_transactional=False)))
        if count == 1:
            single = encode_plain(fields_of(records[:1]), bound_of(records[:1]), 1, 2, 3, False)
            for version in range(3, 14):
                request = BatchesRequest(-1, 15_000, [("orders", b"i" * 16, [(0, single), (200, (batch[:61], batch[61:]))])])
                seen.update(b"".join(request.encode_parts(version)))
    for size in range(300):
        key = source.randbytes(size)
        seen.update(str(murmur2(key)).encode())
    print(seen.hexdigest())
"""


def test_both_builds_write_the_same_bytes() -> None:
    assert run(BYTES) == run(BYTES, KLIFE_PURE="1")


READ = """
    import hashlib, random
    from struct import pack
    from klife.protocol.apis.produce import ProduceRequest
    from klife.protocol.errors import DecodeError, TrailingBytes
    from klife.protocol.framing import FrameReader, decode_response_header
    from klife.protocol.produce_wire import BatchesResponse

    source, seen = random.Random(7), hashlib.sha256()

    def mostly(usual, odd):
        return source.choice([usual] * 30 + [odd])

    def answer(version):
        topic = source.randbytes(16) if version >= 13 else b"\\x07orders"
        partitions = [
            pack(">ihqqqBBB", index, mostly(0, 6), source.randrange(2**40), source.choice([-1, 5]), 0, mostly(1, 3), 0, 0)
            for index in range(source.choice([0, 1, 2, 15, 126, 127, 200]))
        ]
        count = len(partitions) + 1
        counted = bytes([count]) if count < 128 else bytes([count & 0x7F | 0x80, count >> 7])
        return b"\\x02" + topic + counted + b"".join(partitions) + bytes(6) + source.choice([b""] * 9 + [b"more"])

    def said(response):
        if type(response).__name__ == "PlainAnswer":
            return response.topics
        return [(topic.name, topic.topic_id, topic.partition_responses) for topic in response.responses]

    def read(data, version):
        try:
            return said(BatchesResponse.decode(data, version))
        except TrailingBytes as longer:
            return said(longer.message)
        except DecodeError as error:
            return type(error).__name__

    kinds = set()
    for version in range(9, 14):
        for _ in range(200):
            data = answer(version)
            for cut in (data, data[: source.randrange(len(data))], bytearray(data)):
                result = read(cut, version)
                kinds.add(type(result).__name__)
                seen.update(repr(result).encode())

    stream = b"".join(pack(">i", size) + source.randbytes(size) for size in [0, 1, 4, 5, 100, 70_000] * 20)
    reader, at = FrameReader(100_000), 0
    while at < len(stream):
        size = source.choice([1, 3, 4, 9, 104, 4_000, 65_536])
        for frame in reader.feed(stream[at : at + size]):
            seen.update(bytes(frame))
            try:
                seen.update(repr(decode_response_header(frame, ProduceRequest, source.choice([3, 9]))).encode())
            except DecodeError as error:
                seen.update(str(error).encode())
        at += size
    print(sorted(kinds), reader.pending_bytes, seen.hexdigest())
"""


def test_both_builds_read_the_same() -> None:
    compiled = run(READ)
    assert compiled.startswith("['list', 'str'] 0 ")
    assert compiled == run(READ, KLIFE_PURE="1")


DEFAULTS = """
    from importlib import import_module
    from klife.core import MODULES

    for name in MODULES:
        module = import_module(name)
        for cls in vars(module).values():
            if isinstance(cls, type) and cls.__module__ == name:
                try:
                    bare = cls.__new__(cls)
                except TypeError:  # an enumeration, say
                    continue
                for field in (name for name in dir(cls) if not name.startswith('__')):
                    try:
                        value = getattr(bare, field)
                    except Exception:
                        continue  # never set, or made from what was not
                    if value is None or isinstance(value, (bool, int)):
                        print(name, cls.__name__, field, type(value).__name__, value)
"""


def test_defaults_are_the_same_in_both_builds() -> None:
    """Fields that an instance need not set are class attributes in Python; in C they begin as None, 0 or
    False.
    """
    pure, compiled = (run(DEFAULTS, KLIFE_PURE=build).splitlines() for build in "10")
    assert len(pure) > 20
    assert set(pure) <= set(compiled)


def test_the_sources_run_without_cython() -> None:
    program = "import sys, klife; klife.Client; print({'cython', 'Cython'} & sys.modules.keys())"
    assert run(program, KLIFE_PURE="1").strip() == run(program).strip() == "set()"
