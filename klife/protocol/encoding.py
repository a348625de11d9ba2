"""Generates encoders: straight-line code for one message in one version.

Consecutive fixed-size fields become one `struct` call, lengths and the empty tag sections of flexible
versions included. Values are not checked one by one: `struct`, `encode` and `join` refuse what has the wrong
type or range, and only then does `diagnosis` look for the culprit. What they would let pass (a number for a
bool, a string for an array of strings, a short uuid) is tested where it occurs.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from klife.protocol.decoding import layout, tag_of
from klife.protocol.primitives import (
    MAX_STRING_BYTES,
    SHORT_UVARINTS,
    SPLIT_BYTES,
    Unencodable,
    append_records,
    pack_numbers,
    records_size,
    uvarint,
)
from klife.protocol.schema import EMPTY, ArrayOf, Field, FieldType, Scalar, Struct, StructOf
from klife.protocol.source import Source


class Encoder:
    """Writes `encode(message, parts) -> None` for one version; it appends the encoded parts."""

    def __init__(self, cls: type[Struct], version: int, *, flexible: bool) -> None:
        self.version = version
        self.flexible = flexible
        self.title: str = f"{cls.__name__} v{version}"
        self._run: list[tuple[str, str]] = []
        # Where pieces go: the list of small pieces, its append, and the list of parts. A tagged field has its
        # own three.
        self._out, self._write, self._parts = "out", "write", "parts"
        names = {
            "join": b"".join,
            "Unencodable": Unencodable,
            "uvarint": uvarint,
            "SHORT": SHORT_UVARINTS,
            "pack_numbers": pack_numbers,
            "records_size": records_size,
            "append_records": append_records,
        }
        self.source: Source = Source("encode(message, parts)", names)
        self.source.line("out = []")
        self.source.line("write = out.append")
        self._struct(cls, "message")
        self._flush()
        self.source.line("if out: parts.append(join(out))")

    def _put(self, value: str, code: str) -> None:
        self._run.append((value, code))

    def _flush(self) -> None:
        """Emit the run of fixed-size writes collected so far."""
        if not self._run:
            return
        codes = "".join(code for _, code in self._run)
        if codes == "x":
            self.source.line(f"{self._write}(b'\\0')")
        else:
            pack = self.source.bind("pack", layout(codes).pack)
            self.source.line(f"{self._write}({pack}({', '.join(value for value, code in self._run if code != 'x')}))")
        self._run.clear()

    def _refuse_if(self, condition: str) -> None:
        self.source.line(f"if {condition}: raise Unencodable")

    def _struct(self, cls: type[Struct], message: str) -> None:
        tagged = []
        for field in cls.FIELDS:
            value = f"{message}.{field.name}"
            if not field.versions.covers(self.version):
                if not field.ignorable:
                    self._refuse_if(self._differs(field, value))
            elif field.tagged.covers(self.version):
                tagged.append(field)
            else:
                self._value(field.type, value, nullable=field.nullable.covers(self.version))
        if tagged:
            self._tags(sorted(tagged, key=tag_of), message)
        elif self.flexible:
            self._put("", "x")

    def _differs(self, field: Field, value: str) -> str:
        """Source of the question whether a field differs from its default, as Kafka asks it: by emptiness for
        arrays and bytes.
        """
        if field.default is None:
            return f"{value} is not None"
        if field.default is EMPTY and isinstance(field.type, ArrayOf):
            return f"{value} is None or len({value})"
        default = field.new_default()
        return f"{value} != {self.source.bind('default', default)}"

    def _tags(self, fields: list[Field], message: str) -> None:
        source = self.source
        self._flush()
        outer = self._out, self._write, self._parts
        tags, body = source.fresh("tags"), source.fresh("body")
        source.line(f"{tags} = []")
        for field in fields:
            value = f"{message}.{field.name}"
            with source.block(f"if {self._differs(field, value)}"):
                self._out, self._write, self._parts = (source.fresh(name) for name in ("out", "write", "parts"))
                source.line(f"{self._out} = []; {self._parts} = []")
                source.line(f"{self._write} = {self._out}.append")
                self._value(field.type, value, nullable=field.nullable.covers(self.version))
                self._flush()
                source.line(f"{body} = join((*{self._parts}, *{self._out}))")
                source.line(f"{tags}.append({uvarint(tag_of(field))!r} + uvarint(len({body})) + {body})")
        self._out, self._write, self._parts = outer
        source.line(f"{self._write}(uvarint(len({tags})))")
        source.line(f"{self._write}(join({tags}))")

    def _value(self, kind: FieldType, value: str, *, nullable: bool) -> None:
        if isinstance(kind, StructOf):
            self._struct_value(kind.cls, value, nullable=nullable)
        elif isinstance(kind, ArrayOf):
            self._array(kind.element, value, nullable=nullable)
        elif kind.code:
            if kind.name == "bool":
                self._refuse_if(f"{value} is not True and {value} is not False")
            elif kind.name == "uuid":
                self._refuse_if(f"len({value}) != 16")
            self._put(value, kind.code)
        else:
            self._sized(kind, value, nullable=nullable)

    def _sized(self, kind: Scalar[Any], value: str, *, nullable: bool) -> None:
        """A string, bytes or records: a length, then what it measures."""
        source = self.source
        data, length = source.fresh("data"), source.fresh("n")
        source.line(f"{data} = {value}")
        with self._present(data, nullable=nullable):
            if kind.name == "string":
                source.line(f"{data} = {data}.encode()")
                source.line(f"{length} = len({data})")
                self._refuse_if(f"{length} > {MAX_STRING_BYTES}")
            elif kind.name == "records":
                source.line(f"{length} = len({data}) if type({data}) is bytes else records_size({data})")
            else:
                source.line(f"{length} = len({data})")
        if nullable:
            with source.block("else"):
                source.line(f"{length} = -1")
                source.line(f"{data} = b''")
        self._length(length, "h" if kind.name == "string" else "i")
        if kind.name == "records":
            with source.block(f"if {length} > {SPLIT_BYTES} or type({data}) is not bytes"):
                source.line(f"append_records({data}, {length}, {self._out}, {self._parts})")
            with source.block("else"):
                source.line(f"{self._write}({data})")
        else:
            source.line(f"{self._write}({data})")

    def _present(self, value: str, *, nullable: bool) -> AbstractContextManager[None]:
        return self.source.block(f"if {value} is not None") if nullable else nullcontext()

    def _length(self, length: str, code: str) -> None:
        """A length, -1 for null: together with the fixed-size fields before it, or as a varint of one more
        (KIP-482).
        """
        if not self.flexible:
            self._put(length, code)
            self._flush()
            return
        self._flush()
        self.source.line(f"{self._write}(SHORT[{length} + 1] if {length} < 127 else uvarint({length} + 1))")

    def _array(self, element: Scalar[Any] | StructOf, value: str, *, nullable: bool) -> None:
        source = self.source
        elements, length, item = source.fresh("elements"), source.fresh("n"), source.fresh("item")
        source.line(f"{elements} = {value}")
        with self._present(elements, nullable=nullable):
            source.line(f"{length} = len({elements})")
        if nullable:
            with source.block("else"):
                source.line(f"{length} = -1")
                source.line(f"{elements} = ()")
        self._length(length, "i")
        if isinstance(element, Scalar) and len(element.code) == 1:
            source.line(f"{self._write}(pack_numbers({element.code!r}, {elements}))")
            return
        if isinstance(element, Scalar):
            self._refuse_if(f"isinstance({elements}, (str, bytes))")
        with source.block(f"for {item} in {elements}"):
            if isinstance(element, StructOf):
                self._struct(element.cls, item)
            else:
                self._value(element, item, nullable=False)
            self._flush()

    def _struct_value(self, cls: type[Struct], value: str, *, nullable: bool) -> None:
        inner = self.source.fresh("m")
        self.source.line(f"{inner} = {value}")
        if not nullable:
            self._struct(cls, inner)
            return
        self._flush()
        with self.source.block(f"if {inner} is None"):
            self.source.line(f"{self._write}(b'\\xff')")
        with self.source.block("else"):
            self._put("1", "b")
            self._struct(cls, inner)
            self._flush()
