"""Processes of the codecs that outlive the nodes that use them: to start one takes longer than what most tests do."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from medserver.codecs import Transcoder, Workers
from medserver.node import Node


class SharedWorkers(Workers):
    """Worker processes that outlive the nodes that use them."""

    def __init__(self) -> None:
        super().__init__()
        self._owner = os.getpid()

    def run(self, *arguments: Any, **named: Any) -> Any:
        """Call a function in a worker; a process that was forked off has its own: the answers are its parent's."""
        if self._owner != os.getpid():
            self.__init__()
        return super().run(*arguments, **named)

    def close(self) -> None:
        """Leave them to the next node."""

    def end(self) -> None:
        """Stop them."""
        super().close()


_WORKERS = SharedWorkers()


def with_shared_workers(node: Node) -> Node:
    """Let a node use the workers of this process, which end with it."""
    return dataclasses.replace(node, transcoder=Transcoder(_WORKERS, node.transcoder.cache))
