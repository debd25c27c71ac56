"""Which libraries of the extra ``codecs`` there are."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec


@cache
def is_installed(module: str) -> bool:
    """Return whether a module can be imported; looked up once, and not imported."""
    return find_spec(module) is not None
