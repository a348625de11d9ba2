"""How a message is declared: once, for all its versions, as an annotated class.

    class Coordinator(Struct):
        key: str = string("4+")                       # in version 4 and later
        error_message: str | None = string("4+", nullable="4+", ignorable=True)

The declaration is what a reader and a type checker see; `compiler` turns it into straight-line code, one
function for each version that is used. Field names are the snake_case of Kafka's JSON names, classes keep
Kafka's names, and every word below (versions, nullable, ignorable, tag, default) means what it means in
Kafka's own definitions (clients/src/main/resources/common/message/README.md in Kafka's sources):

- `versions`: where the field exists: "0+", "3-7", "4".
- `nullable`: where it may be None. Its default is not None unless said so, as in Kafka.
- `ignorable`: a value is dropped without an error when the version written lacks the field. Without it, that
  is an EncodeError.
- `tag`: a tagged field (KIP-482): written only when it differs from its default; `tagged` where that begins
  later than the field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast, dataclass_transform, overload

from klife.protocol.primitives import ZERO_UUID
from klife.words import counted

T = TypeVar("T")
S = TypeVar("S", bound="Struct")

NEVER = 0x8000
"""A version no message reaches (versions are int16): `FLEXIBLE_FROM` of messages without flexible versions."""


class Versions(NamedTuple):
    """An inclusive range of versions; empty when `first > last`."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str | None) -> Versions:
        """The range of Kafka's notation: "3+", "3-7", "4"; None and "none" are empty."""
        if text is None or text == "none":
            return cls(NEVER, -1)
        if text.endswith("+"):
            return cls(int(text[:-1]), NEVER - 1)
        first, _, last = text.partition("-")
        return cls(int(first), int(last or first))

    def covers(self, version: int) -> bool:
        """Whether `version` lies in the range."""
        return self.first <= version <= self.last


class ArrayOf(NamedTuple):
    """The type of an array field."""

    element: Scalar[Any] | StructOf


class StructOf(NamedTuple):
    """The type of a field that holds another struct."""

    cls: type[Struct]


class Field:
    """What a class body says about one field."""

    __slots__ = ("name", "type", "versions", "nullable", "default", "ignorable", "tag", "tagged")

    def __init__(
        self,
        kind: FieldType,
        versions: str,
        *,
        nullable: str | None,
        default: Any,
        ignorable: bool,
        tag: int | None,
        tagged: str | None,
    ) -> None:
        self.name: str = ""
        self.type: FieldType = kind
        self.versions: Versions = Versions.parse(versions)
        self.nullable: Versions = Versions.parse(nullable)
        self.default: Any = default
        self.ignorable: bool = ignorable
        self.tag: int | None = tag
        self.tagged: Versions = Versions.parse(tagged or versions) if tag is not None else Versions.parse(None)

    def new_default(self) -> Any:
        """The default, a fresh one where it can be changed."""
        if self.default is not EMPTY:
            return self.default
        return [] if isinstance(self.type, ArrayOf) else cast("StructOf", self.type).cls()


EMPTY: Any = type("Empty", (), {"__repr__": lambda self: "empty", "__slots__": ()})()
"""Stands for the defaults that must be made anew: an empty array, a struct of defaults."""


class Scalar(Generic[T]):
    """A type without parts. Called in a class body, it declares a field of the type."""

    def __init__(self, name: str, code: str, size: int, default: Any) -> None:
        self.name = name
        self.code = code
        """`struct` code of a fixed-size type, else empty."""
        self.size = size
        """Bytes of a fixed-size type, else 0."""
        self.default = default

    @overload
    def __call__(
        self, versions: str, *, default: T = ..., ignorable: bool = ..., tag: int | None = ..., tagged: str | None = ...
    ) -> T: ...
    @overload
    def __call__(
        self,
        versions: str,
        *,
        nullable: str,
        default: T | None = ...,
        ignorable: bool = ...,
        tag: int | None = ...,
        tagged: str | None = ...,
    ) -> T | None: ...
    def __call__(
        self,
        versions: str,
        *,
        nullable: str | None = None,
        default: Any = EMPTY,
        ignorable: bool = False,
        tag: int | None = None,
        tagged: str | None = None,
    ) -> Any:
        default = self.default if default is EMPTY else default
        return Field(self, versions, nullable=nullable, default=default, ignorable=ignorable, tag=tag, tagged=tagged)

    def __repr__(self) -> str:
        return self.name


FieldType = Scalar[Any] | ArrayOf | StructOf

bool_: Scalar[bool] = Scalar("bool", "?", 1, False)
int8: Scalar[int] = Scalar("int8", "b", 1, 0)
int16: Scalar[int] = Scalar("int16", "h", 2, 0)
uint16: Scalar[int] = Scalar("uint16", "H", 2, 0)
int32: Scalar[int] = Scalar("int32", "i", 4, 0)
uint32: Scalar[int] = Scalar("uint32", "I", 4, 0)
int64: Scalar[int] = Scalar("int64", "q", 8, 0)
float64: Scalar[float] = Scalar("float64", "d", 8, 0.0)
uuid: Scalar[bytes] = Scalar("uuid", "16s", 16, ZERO_UUID)
string: Scalar[str] = Scalar("string", "", 0, "")
bytes_: Scalar[bytes] = Scalar("bytes", "", 0, b"")
records_: Scalar[Any] = Scalar("records", "", 0, None)
"""Record batches, uninterpreted: see `primitives.Records` for what is written. What is read is a view of the
frame, not a copy.
"""


@overload
def array(element: type[S], versions: str, *, ignorable: bool = ..., tag: int | None = ..., tagged: str | None = ...) -> list[S]: ...
@overload
def array(element: Scalar[T], versions: str, *, ignorable: bool = ..., tag: int | None = ..., tagged: str | None = ...) -> list[T]: ...
@overload
def array(
    element: type[S],
    versions: str,
    *,
    nullable: str,
    default: None = ...,
    ignorable: bool = ...,
    tag: int | None = ...,
    tagged: str | None = ...,
) -> list[S] | None: ...
@overload
def array(
    element: Scalar[T],
    versions: str,
    *,
    nullable: str,
    default: None = ...,
    ignorable: bool = ...,
    tag: int | None = ...,
    tagged: str | None = ...,
) -> list[T] | None: ...
def array(
    element: Any,
    versions: str,
    *,
    nullable: str | None = None,
    default: Any = EMPTY,
    ignorable: bool = False,
    tag: int | None = None,
    tagged: str | None = None,
) -> Any:
    """Declare an array of structs or scalars; empty by default."""
    kind = ArrayOf(element if isinstance(element, Scalar) else StructOf(element))
    return Field(kind, versions, nullable=nullable, default=default, ignorable=ignorable, tag=tag, tagged=tagged)


@overload
def struct(cls: type[S], versions: str, *, ignorable: bool = ..., tag: int | None = ..., tagged: str | None = ...) -> S: ...
@overload
def struct(
    cls: type[S],
    versions: str,
    *,
    nullable: str,
    default: None = ...,
    ignorable: bool = ...,
    tag: int | None = ...,
    tagged: str | None = ...,
) -> S | None: ...
def struct(
    cls: Any,
    versions: str,
    *,
    nullable: str | None = None,
    default: Any = EMPTY,
    ignorable: bool = False,
    tag: int | None = None,
    tagged: str | None = None,
) -> Any:
    """Declare a field that is a struct; by default one of defaults."""
    return Field(StructOf(cls), versions, nullable=nullable, default=default, ignorable=ignorable, tag=tag, tagged=tagged)


@dataclass_transform(kw_only_default=True)
class StructMeta(type):
    """Turns declared fields into slots; class keywords of requests and responses become class attributes (see
    `message`).
    """

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any) -> StructMeta:
        fields = []
        for field_name, field in list(namespace.items()):
            if isinstance(field, Field):
                field.name = field_name
                fields.append(field)
                del namespace[field_name]
        namespace["__slots__"] = tuple(field.name for field in fields)
        namespace["FIELDS"] = tuple(fields)
        return super().__new__(mcls, name, bases, namespace, **keywords)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **keywords: Any) -> None:
        super().__init__(name, bases, namespace)


class Struct(metaclass=StructMeta):
    """A value with declared fields: mutable, slotted, made by keywords with Kafka's defaults, equal by value.

    Types are checked when it is encoded, not when it is made.
    """

    FIELDS: ClassVar[tuple[Field, ...]]
    FLEXIBLE_FROM: ClassVar[int]  # of messages: from which version on they, and what they are made of, have tags (KIP-482)
    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self, **values: Any) -> None:
        # The first instance of a class compiles its constructor, which from then on stands here: half of all
        # declared structs are only ever decoded, and importing an API should not pay for them.
        cls = type(self)
        type.__setattr__(cls, "__init__", _compile_init(cls))
        cls.__init__(self, **values)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, field.name) == getattr(other, field.name) for field in self.FIELDS)

    def __repr__(self) -> str:
        shown = ", ".join(f"{field.name}={_show(field.type, getattr(self, field.name, '<unset>'))}" for field in self.FIELDS)
        return f"{type(self).__name__}({shown})"


def _compile_init(cls: type[Struct]) -> Callable[..., None]:
    """`def __init__(self, *, name=default, ...)`, spelled out as one would by hand."""
    arguments, body = [], []
    names: dict[str, Any] = {"EMPTY": EMPTY}
    for number, field in enumerate(cls.FIELDS):
        names[f"default{number}"] = field.default
        arguments.append(f"{field.name}=default{number}")
        if field.default is EMPTY:
            names[f"new{number}"] = field.new_default
            body.append(f"    self.{field.name} = new{number}() if {field.name} is EMPTY else {field.name}")
        else:
            body.append(f"    self.{field.name} = {field.name}")
    signature = ", *, " + ", ".join(arguments) if arguments else ""
    source = f"def __init__(self{signature}):\n" + "\n".join(body or ["    pass"])
    exec(compile(source, f"<{cls.__name__}.__init__>", "exec"), names)
    return cast("Callable[..., None]", names["__init__"])


_SHOWN_ELEMENTS = 8


def _show(kind: FieldType, value: Any) -> str:
    """A field for `repr`: sizes instead of bytes (they may be keys, values or secrets), and the first of a
    long array.
    """
    if value is None or value == "<unset>":
        return str(value)
    if isinstance(kind, ArrayOf) and isinstance(value, (list, tuple)):
        shown = [_show(kind.element, element) for element in value[:_SHOWN_ELEMENTS]]
        more = [f"... {len(value)} in all"] if len(value) > _SHOWN_ELEMENTS else []
        return f"[{', '.join(shown + more)}]"
    if kind is uuid and isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{counted(len(value), 'byte')}>"
    if kind is records_ and isinstance(value, (list, tuple)):
        return f"<{counted(len(value), 'buffer')}>"
    return repr(value)


def walk(cls: type[Struct]) -> Iterator[type[Struct]]:
    """`cls` and every struct reachable from its fields, each once."""
    seen = {cls: None}
    todo = [cls]
    while todo:
        for field in todo.pop().FIELDS:
            kind = field.type.element if isinstance(field.type, ArrayOf) else field.type
            if isinstance(kind, StructOf) and kind.cls not in seen:
                seen[kind.cls] = None
                todo.append(kind.cls)
    return iter(seen)
