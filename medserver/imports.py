"""Importing no more than is needed: libraries without their optional ones, and names of a package one by one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


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


def on_demand(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a ``__getattr__`` (PEP 562) for a package that imports its names when they are asked for.

    Who imports one module of a package imports the package first. Where some modules bring libraries that others do
    without, the package names all that it offers and imports none of it.

    Parameters
    ----------
    package : str
        Its ``__name__``.
    modules : Mapping of str to str
        Name -> module of the package that defines it; that module has another name, since it becomes an attribute of
        the package too.
    """

    def __getattr__(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__


def import_all(package: ModuleType) -> None:
    """Import all names of a package that are imported on demand: before a process is forked, which then has them."""
    for name in package.__all__:
        getattr(package, name)
