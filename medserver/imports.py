"""Importing a library without others that it would import too, only because they are installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Have some modules count as missing while others are imported.

    Several libraries import each optional dependency that they find, whether it will be used or not: all drivers of a
    database, all clients of a queue. That costs each command tenths of a second. What is imported in the block takes
    its way without them; a module that is needed later is imported, and made known to the library, by who needs it.

    For the imports at the head of a module; not while other threads import.

    Parameters
    ----------
    *names : str
        The modules. Those that are imported already stay.

    References
    ----------
    Python language reference 5.3.1: a None in `sys.modules` is a module that cannot be imported.
    """
    missing = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(missing))
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]
