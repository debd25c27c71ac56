"""Who acts in this thread: the remote AE of an association, the person at a command line; else the node itself.

Operations change rows and tell of it in the same transaction, wherever they are called from; so whoever calls them says
for whom, once, and not each operation through all that it calls.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from medserver.audit import Actor
from medserver.node import Node
from medserver.trail.recording import node_actor

_acting: ContextVar[Actor | None] = ContextVar("acting", default=None)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Let an actor be who acts in this thread, and in those that copy its context, while the block runs."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


def actor_here(node: Node) -> Actor:
    """Return who acts in this thread."""
    return _acting.get() or node_actor(node.config.current)


def is_remote() -> bool:
    """Tell whether somebody else than the node acts in this thread."""
    return _acting.get() is not None
