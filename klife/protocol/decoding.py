"""Generates decoders: straight-line code for one message in one version.

What makes the result fast:

- Consecutive fixed-size fields, *and the length of what follows them*, are one `struct` call that assigns
  into the new object. The first byte of a varint counts as fixed: nearly all lengths fit in it, and the rare
  longer one reads on.
- Nested structs are loops in the same function; nothing is called per struct.
- Bounds are checked once an array (before anything is built for it), not once a field: a slice that ends
  early leaves the position beyond the end, where the next read, or the check at the very end, fails. So lying
  lengths cost neither memory nor time.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

from klife.protocol.errors import DecodeError, TrailingBytes
from klife.protocol.primitives import Buffer, Malformed, numbers, skip_tags, uvarint_rest
from klife.protocol.schema import EMPTY, ArrayOf, Field, FieldType, Scalar, Struct, StructOf, records_, walk
from klife.protocol.source import Source
from klife.words import counted

_SHORT_ARRAY = 17


def malformed(what: str, pos: int, size: int, error: Exception) -> DecodeError:
    """The error for input that broke a generated decoder near `pos`."""
    if isinstance(error, (Malformed, UnicodeDecodeError)):
        reason = "a string is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    else:
        reason = "it ends too early"
    return DecodeError(f"{what} cannot be decoded near byte {pos} of {size}: {reason}")


def overrun(what: str, pos: int, size: int, message: Any) -> DecodeError:
    """The error for input that is shorter or longer than the message in it."""
    if pos > size:
        return DecodeError(f"{what} cannot be decoded: it ends {counted(pos - size, 'byte')} too early, after {size}")
    return TrailingBytes(f"{what} cannot be decoded: {counted(size - pos, 'byte')} left over after its {pos}", message)


@cache
def _short_arrays(code: str) -> tuple[Callable[[Buffer, int], tuple[Any, ...]], ...]:
    """Readers of arrays of 0, 1, 2 ... numbers: replica lists are this short."""
    return tuple(struct.Struct(f">{count}{code}").unpack_from for count in range(_SHORT_ARRAY))


class Decoder:
    """Writes `decode(buf, pos) -> message` for one version."""

    def __init__(self, cls: type[Struct], version: int, *, flexible: bool) -> None:
        self.version = version
        self.flexible = flexible
        self.title: str = f"{cls.__name__} v{version}"
        self._run: list[tuple[str, str]] = []
        names = {
            "new": object.__new__,
            "Malformed": Malformed,
            "LayoutError": struct.error,
            "malformed": malformed,
            "overrun": overrun,
            "rest": uvarint_rest,
            "skip_tags": skip_tags,
            "numbers": numbers,
        }
        source = Source("decode(buf, pos)", names)
        self.source: Source = source
        source.line("size = len(buf)")
        if any(field.type is records_ for struct_ in walk(cls) for field in struct_.FIELDS):
            source.line("view = memoryview(buf)")
        with source.block("try"):
            message = self._struct(cls)
            self._flush()
        with source.block("except (IndexError, ValueError, LayoutError) as error"):
            source.line(f"raise malformed({self.title!r}, pos, size, error) from None")
        with source.block("if pos != size"):
            source.line(f"raise overrun({self.title!r}, pos, size, {message})")
        source.line(f"return {message}")

    def _read(self, target: str, code: str) -> None:
        self._run.append((target, code))

    def _flush(self) -> None:
        """Emit the run of fixed-size reads collected so far."""
        if not self._run:
            return
        if [code for _, code in self._run] == ["B"]:
            self.source.line(f"{self._run[0][0]} = buf[pos]")
            self.source.line("pos += 1")
        else:
            run = layout("".join(code for _, code in self._run))
            unpack = self.source.bind("unpack", run.unpack_from)
            targets = ", ".join(target for target, _ in self._run)
            self.source.line(f"{targets}, = {unpack}(buf, pos)")
            self.source.line(f"pos += {run.size}")
        self._run.clear()

    def _struct(self, cls: type[Struct]) -> str:
        message = self.source.fresh("m")
        self.source.line(f"{message} = new({self.source.bind('Class', cls)})")
        tagged = []
        for field in cls.FIELDS:
            target = f"{message}.{field.name}"
            if not field.versions.covers(self.version):
                self._default(field, target)
            elif field.tagged.covers(self.version):
                tagged.append(field)
                self._default(field, target)
            else:
                self._value(field.type, target, field.name, nullable=field.nullable.covers(self.version))
        if self.flexible:
            self._tags(message, sorted(tagged, key=tag_of))
        return message

    def _default(self, field: Field, target: str) -> None:
        if field.default is not EMPTY:
            constant = repr(field.default) if field.default is None or isinstance(field.default, (bool, int)) else None
            self.source.line(f"{target} = {constant or self.source.bind('default', field.default)}")
        elif isinstance(field.type, StructOf):
            # Spelled out rather than by constructor: a produce response has one such struct for each
            # partition.
            inner = self.source.fresh("m")
            self.source.line(f"{target} = {inner} = new({self.source.bind('Class', field.type.cls)})")
            for part in field.type.cls.FIELDS:
                self._default(part, f"{inner}.{part.name}")
        else:
            self.source.line(f"{target} = []")

    def _tags(self, message: str, known: list[Field]) -> None:
        source = self.source
        count = source.fresh("tags")
        self._read(count, "B")
        self._flush()
        with source.block(f"if {count}"):
            self._rest(count)
            if not known:
                source.line(f"pos = skip_tags(buf, pos, {count})")
                return
            tag, end = source.fresh("tag"), source.fresh("end")
            with source.block(f"for _ in range({count})"):
                self._read(tag, "B")
                self._flush()
                self._rest(tag)
                self._read(end, "B")
                self._flush()
                self._rest(end)
                source.line(f"{end} += pos")
                for field in known:
                    with source.block(f"if {tag} == {field.tag}"):
                        self._value(field.type, f"{message}.{field.name}", field.name, nullable=field.nullable.covers(self.version))
                        self._flush()
                        with source.block(f"if pos != {end}"):
                            source.line(f"raise Malformed({f'the tagged field {field.name} is not as long as it says'!r})")
                # A tag of a later version, or the end of the one just read.
                source.line(f"pos = {end}")

    def _rest(self, variable: str) -> None:
        with self.source.block(f"if {variable} > 127"):
            self.source.line(f"{variable}, pos = rest(buf, pos, {variable})")

    def _length(self, label: str, code: str, *, nullable: bool, target: str) -> str:
        """Read the length of a variable-size value; afterwards a variable holds it, and -1 means that
        `target` is None.
        """
        source = self.source
        length = source.fresh("n")
        if self.flexible:
            self._read(length, "B")
            self._flush()
            self._rest(length)
            source.line(f"{length} -= 1")
        else:
            self._read(length, code)
            self._flush()
        if nullable:
            with source.block(f"if {length} < -1"):
                source.line(f"raise Malformed({f'{label} has a negative length'!r})")
            source.line(f"{target} = None")
        else:
            with source.block(f"if {length} < 0"):
                source.line(f"raise Malformed({f'{label} is null or has a negative length'!r})")
        return length

    def _value(self, kind: FieldType, target: str, label: str, *, nullable: bool) -> None:
        if isinstance(kind, StructOf):
            self._struct_value(kind.cls, target, nullable=nullable)
        elif isinstance(kind, ArrayOf):
            length = self._length(label, "i", nullable=nullable, target=target)
            with self._present(length, nullable=nullable):
                self._array(kind.element, target, label, length)
        elif kind.code:
            self._read(target, kind.code)
        else:
            length = self._length(label, "h" if kind.name == "string" else "i", nullable=nullable, target=target)
            with self._present(length, nullable=nullable):
                self._slice(kind, target, length)

    def _present(self, length: str, *, nullable: bool) -> AbstractContextManager[None]:
        return self.source.block(f"if {length} >= 0") if nullable else nullcontext()

    def _slice(self, kind: Scalar[Any], target: str, length: str) -> None:
        self.source.line(f"{length} += pos")
        read = {"string": "buf[pos:{0}].decode()", "bytes": "bytes(buf[pos:{0}])", "records": "view[pos:{0}]"}[kind.name]
        self.source.line(f"{target} = {read.format(length)}")
        self.source.line(f"pos = {length}")

    def _struct_value(self, cls: type[Struct], target: str, *, nullable: bool) -> None:
        if not nullable:
            self.source.line(f"{target} = {self._struct(cls)}")
            return
        present = self.source.fresh("present")
        self._read(present, "b")
        self._flush()
        self.source.line(f"{target} = None")
        with self.source.block(f"if {present} >= 0"):
            self.source.line(f"{target} = {self._struct(cls)}")
            self._flush()

    def _array(self, element: Scalar[Any] | StructOf, target: str, label: str, length: str) -> None:
        source = self.source
        smallest = self._smallest(element)
        with source.block(f"if {length} * {smallest} > size - pos"):
            source.line(f"raise Malformed(f'{label} says it has {{{length}}} elements, more than the rest has room for')")
        if isinstance(element, Scalar) and len(element.code) == 1:
            short = source.bind("short", _short_arrays(element.code))
            many = f"numbers(buf, pos, {element.code!r}, {length})"
            source.line(f"{target} = list({short}[{length}](buf, pos)) if {length} < {_SHORT_ARRAY} else {many}")
            source.line(f"pos += {length} * {element.size}")
            return
        elements, append = source.fresh("elements"), source.fresh("append")
        source.line(f"{target} = {elements} = []")
        source.line(f"{append} = {elements}.append")
        with source.block(f"for _ in range({length})"):
            if isinstance(element, StructOf):
                item = self._struct(element.cls)
            else:
                item = source.fresh("item")
                self._value(element, item, label, nullable=False)
            self._flush()
            source.line(f"{append}({item})")

    def _smallest(self, kind: FieldType, *, nullable: bool = False) -> int:
        """The fewest bytes a value takes: what bounds the length of an array before it is read."""
        if isinstance(kind, StructOf):
            if nullable:
                return 1
            fields = [field for field in kind.cls.FIELDS if field.versions.covers(self.version)]
            sizes = [
                self._smallest(field.type, nullable=field.nullable.covers(self.version))
                for field in fields
                if not field.tagged.covers(self.version)
            ]
            return sum(sizes) + self.flexible
        if isinstance(kind, Scalar) and kind.code:
            return kind.size
        if self.flexible:
            return 1
        return 2 if isinstance(kind, Scalar) and kind.name == "string" else 4


def tag_of(field: Field) -> int:
    return -1 if field.tag is None else field.tag


@cache
def layout(codes: str) -> struct.Struct:
    return struct.Struct(">" + codes)
