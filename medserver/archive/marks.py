"""How far an interrupted piece of work went through each volume, and how much it had found until then."""

from __future__ import annotations

from dataclasses import dataclass

from medserver.node import Node


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a piece of work goes on in a volume.

    Parameters
    ----------
    volume : str
        Name of the volume.
    path : str
        Everything up to here is done. Empty if nothing is.
    found : int
        How many findings there were up to here.
    """

    volume: str
    path: str
    found: int


class Marks:
    """The marks of one piece of work, which rest in the index.

    Parameters
    ----------
    node : Node
        Whose index and volumes.
    work : str
        Which piece of work: one that looks more closely than another has another name, because it cannot go on where
        the other stopped.
    """

    def __init__(self, node: Node, work: str) -> None:
        self._node = node
        self._work = work

    def get(self, volume: str) -> Mark | None:
        """Return the mark in a volume; None if the work has not begun there, or came to its end."""
        value = self._node.index.progress.get(self._key(volume))
        if value is None:
            return None
        found, _, path = value.partition(" ")
        return Mark(volume, path, int(found))

    def set(self, mark: Mark) -> None:
        """Set the mark in its volume."""
        self._node.index.progress.set(self._key(mark.volume), f"{mark.found} {mark.path}")

    def all(self) -> list[Mark]:
        """Return the marks in all volumes that have one."""
        return [mark for volume in self._node.volumes if (mark := self.get(volume))]

    def clear(self) -> None:
        """Forget all marks."""
        for volume in self._node.volumes:
            self._node.index.progress.set(self._key(volume), None)

    def _key(self, volume: str) -> str:
        return f"{self._work}:{volume}"
