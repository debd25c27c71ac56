"""Which volumes are being emptied, or have been: they get no more copies, whatever their role."""

from __future__ import annotations

from medserver.node import Node


def is_draining(node: Node, volume: str) -> bool:
    """Tell whether a volume is to be empty."""
    return node.index.progress.get(_key(volume)) is not None


def set_draining(node: Node, volume: str, draining: bool) -> None:
    """Note whether a volume is to be empty."""
    node.index.progress.set(_key(volume), "draining" if draining else None)


def _key(volume: str) -> str:
    return f"drain:{volume}"
