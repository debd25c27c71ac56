"""Whether a worker is the only one: what it keeps to itself between two batches, no other may do as well."""

from __future__ import annotations

import fcntl
import logging
import os

from medserver import modes
from medserver.node import Node

FILE_NAME = "workers"

logger = logging.getLogger(__name__)


class Alone:
    """Finds out whether other workers perform the jobs of the index; each holds a lock in its data folder.

    Parameters
    ----------
    node : Node
        What the worker works with.
    own_uuid : str
        The UUID of its node.
    """

    def __init__(self, node: Node, own_uuid: str) -> None:
        self._node = node
        self._own_uuid = own_uuid
        self._descriptor = -1

    def begin(self) -> None:
        """Be one of the workers."""
        try:
            path = self._node.config.current.node.data / FILE_NAME
            self._descriptor = modes.open_or_create(path, os.O_RDWR)
            fcntl.lockf(self._descriptor, fcntl.LOCK_SH)
        except OSError as error:  # a file system without locks
            logger.debug("%s", error)
            self.end()

    def end(self) -> None:
        """Be none any more."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def is_so(self) -> bool:
        """Tell whether there is no other worker, neither of this data folder nor of another node; False if unknown.

        Raises
        ------
        IndexFailure
            The other nodes cannot be read.
        """
        if self._descriptor < 0:
            return False
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # one that fails leaves the lock as it is
            fcntl.lockf(self._descriptor, fcntl.LOCK_SH)
        except OSError:
            return False
        now = self._node.clock()
        return not any(node.uuid != self._own_uuid and node.is_heard(now) for node in self._node.index.nodes.list())
