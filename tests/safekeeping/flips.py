"""Single bits that change in stored files: which, and whether that was found."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

from medserver.index import BAD
from medserver.node import Node


class Flips:
    """Flips bits so that every object keeps a good copy.

    Parameters
    ----------
    node : Node
        Whose copies; all are good.
    chance : random.Random
        Decides which bits.
    volumes : sequence of str
        The volumes whose files may change. If there is no other one, each object keeps one of its copies here.
    """

    def __init__(self, node: Node, chance: random.Random, volumes: Sequence[str]) -> None:
        self._node = node
        self._chance = chance
        self._volumes = tuple(volumes)
        self._spares_one = set(volumes) == set(node.volumes)
        self.count = 0

    def flip(self, count: int) -> None:
        """Flip so many bits."""
        paths = sorted({one.path for one in self._node.index.locations()})
        spared = {path: self._chance.choice(self._volumes) for path in paths}
        while count:
            path, volume = self._chance.choice(paths), self._chance.choice(self._volumes)
            if self._spares_one and spared[path] == volume:
                continue
            with (Path(self._node.volumes[volume].root) / path).open("r+b") as file:
                offset = self._chance.randrange(file.seek(0, 2))
                file.seek(offset)
                [byte] = file.read(1)
                file.seek(offset)
                file.write(bytes([byte ^ 1 << self._chance.randrange(8)]))
            count -= 1
            self.count += 1

    def not_found(self) -> list[str]:
        """Return the files that are not what was stored although the index says that they are good, or the reverse."""
        wrong = []
        for copy in self._node.index.locations():
            content = (Path(self._node.volumes[copy.volume].root) / copy.path).read_bytes()
            digests = (content[: copy.data_set_offset], content[copy.data_set_offset :])
            is_bad = tuple(hashlib.sha256(part).hexdigest() for part in digests) != (copy.meta_digest, copy.digest)
            if is_bad != (copy.state == BAD):
                wrong.append(f"{copy.volume}:{copy.path}")
        return wrong
