"""`set_defaults`: the values that fields have until an instance sets its own.

For objects that are made once for each batch and mostly never use half of their fields: as class attributes, defaults cost nothing
per object. The compiled core (docs/architecture.md) has fields of its own instead, which start as None, 0 or False; so a default must
be one of these.
"""

from __future__ import annotations


def set_defaults(cls: type, **values: bool | int | None) -> None:
    """Give `cls` its defaults, unless it is compiled and has them."""
    for name, value in values.items():
        if value:
            raise ValueError(f"the default of {cls.__name__}.{name} is {value!r}; a compiled field starts as None, 0 or False")
        if not hasattr(cls, name):
            setattr(cls, name, value)
