"""CRC-32C by the processor: the function of the package crc32c, without what else that package imports.

Its `__init__` looks up its own version, and for that imports importlib.metadata with email, zipfile, csv and
argparse: 20 ms, and four MiB, of every import of klife. So its extension module is loaded by itself, where it
can be found.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from typing import Any

Crc32c = Callable[..., int]


def _function() -> Crc32c:
    package = PathFinder.find_spec("crc32c", sys.path)
    places = package.submodule_search_locations if package is not None else None
    spec = PathFinder.find_spec("crc32c._crc32c", places) if places and "crc32c" not in sys.modules else None
    loader: Any = spec.loader if spec is not None else None
    try:
        module = loader.create_module(spec)
        loader.exec_module(module)
        found: Crc32c = module.crc32c
    except (AttributeError, ImportError):  # installed in another way, or another version of it
        from crc32c import crc32c

        return crc32c
    return found


crc32c: Crc32c = _function()
"""`crc32c(data, initial=0)`."""
