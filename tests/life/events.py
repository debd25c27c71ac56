"""What can happen to an instance: one function each, on a node that is open."""

from __future__ import annotations

from collections.abc import Callable

from medserver import archive
from medserver.errors import BadUsage
from medserver.safekeeping.compression import queue_compression
from medserver.safekeeping.deletion import order_deletion
from tests.life.life import RLE, Life

Perform = Callable[[Life], str | None]


def _receives(content: str, duplicates: str = "keep") -> Perform:
    return lambda life: life.receive(content, duplicates)


def _runs(*kinds: str) -> Perform:
    return lambda life: life.run(*kinds)


def compress(life: Life) -> None:
    """Have everything compressed that is not."""
    queue_compression(life.node, RLE)
    life.run("compress")


def lose(life: Life) -> None:
    """Remove the file of the current object on the primary volume."""
    if copy := life.current_on("main"):
        life.file("main", copy.path).unlink(missing_ok=True)


def damage(life: Life) -> None:
    """Change the last byte of that file."""
    if (copy := life.current_on("main")) and (file := life.file("main", copy.path)).exists():
        content = bytearray(file.read_bytes())
        content[-1] = (content[-1] + 1) % 256
        file.write_bytes(content)


def order(life: Life) -> None:
    """Order the deletion of the instance."""
    found = [copy for copy in [life.current()] if copy]
    order_deletion(life.node, [*found, *life.duplicates()], by="test", reason="a test")


def promote(life: Life) -> str | None:
    """Decide that a duplicate becomes the current object, if there is one with another content; return which."""
    current = life.current()
    for copy in life.duplicates():
        content = life.content_of(copy)
        if current and content not in (None, life.content_of(current)):
            try:
                archive.promote(life.node, copy.key, by="test", why="a test")
            except BadUsage:  # it is to be deleted
                return None
            return content
    return None


def start(life: Life) -> None:
    """End all processes and start again."""
    life.close()
    life.open()
    archive.reconcile(life.node)


def cut(life: Life) -> None:
    """Cut the power, which takes what the index has not flushed, and start again: files without a row are adopted."""
    life.close()
    life.lose_unflushed()
    life.open()
    archive.reconcile(life.node)


EVENTS: dict[str, Perform] = {
    "receive": _receives("A"),
    "receive other, keep": _receives("B"),
    "receive other, replace": _receives("B", "replace"),
    "receive other, reject": _receives("B", "reject"),
    "copy": _runs("replicate"),
    "compress": compress,
    "retire": _runs("retire", "remove"),
    "jobs": lambda life: life.run(),
    "lose": lose,
    "damage": damage,
    "verify": lambda life: life.verify(),
    "repair": _runs("repair"),
    "promote": promote,
    "order": order,
    "delete": _runs("delete"),
    "remove": _runs("remove"),
    "start": start,
    "power cut": cut,
}
