"""Cython's words for the sources of the compiled core, which mean nothing where these run as they are.

A module of the core begins with

    from klife import cython_shim as cython

    if cython.compiled:
        import cython

Cython looks for the name `cython` where it is imported, and does what the decorators say (its "pure Python
mode"); for it, `cython.compiled` is true, and a branch that is not for it is left out. Nobody ever runs that
import: Cython is needed to build klife, and not to run it. What of C's own functions a module calls, it
imports from `cython.cimports` in such a branch, too.

Only what klife uses is here. Types of arguments and locals are Cython's names or, for classes and pointers,
text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class", bound=type)
_Value = TypeVar("_Value")

compiled: Final = False
"""Whether the module that asks runs compiled."""

NULL: Final = None
bint = double = Py_ssize_t = uint = "a type of C"


def locals(**_types: object) -> Callable[[_Function], _Function]:  # noqa: A001 - Cython's name
    """C's types of a function's arguments and local variables."""
    return _as_it_is


def returns(_type: object) -> Callable[[_Function], _Function]:
    """C's type of what a `cfunc` returns."""
    return _as_it_is


def exceptval(_value: object = None, *, check: bool = True) -> Callable[[_Function], _Function]:
    """What a `cfunc` returns when it raises: that only (`check=False`), or perhaps (`check=True`, it is
    looked at once more).
    """
    return _as_it_is


def ccall(function: _Function) -> _Function:
    """A function that C calls directly, and Python may call."""
    return function


def cfunc(function: _Function) -> _Function:
    """A function that only C may call: nobody can give it what it does not expect."""
    return function


def cclass(cls: _Class) -> _Class:
    """A class with C's fields."""
    return cls


def no_gc(cls: _Class) -> _Class:
    """A `cclass` whose objects the garbage collector does not look at."""
    return cls


def declare(_type: object, value: _Value) -> _Value:
    """A variable of a module, of C's type."""
    return value


def _as_it_is(decorated: _Function) -> _Function:
    return decorated
