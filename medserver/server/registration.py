"""A node is entered in the index when it starts, if it may share that with those that are there."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable

from medserver.config import VolumeOptions
from medserver.errors import MedserverError
from medserver.host import host_name, machine, node_uuid
from medserver.index.nodes.nodes import NodeRuns
from medserver.index.nodes.records import SILENT_AFTER_S, NodeRecord, Serves
from medserver.log import Event
from medserver.node import Node
from medserver.store import Volume

RETRY_S = 1.0

logger = logging.getLogger(__name__)


def register(node: Node, role: str, is_asked_to_stop: Callable[[float], bool] = lambda timeout_s: True) -> None:
    """Enter the node; one that has moved to this machine a moment ago is waited for.

    Parameters
    ----------
    node : Node
        What it works with.
    role : str
        ``serve`` or ``worker``.
    is_asked_to_stop : callable
        Takes its time [s] and tells whether to give up.

    Raises
    ------
    BadUsage
        It may not share the index, or a node with its UUID runs on another machine.
    """
    record, deadline = record_of(node, role), time.monotonic() + SILENT_AFTER_S + RETRY_S
    while True:
        try:
            node.index.nodes.register(record)
            break
        except NodeRuns:
            if time.monotonic() > deadline or is_asked_to_stop(RETRY_S):
                raise
    others = sum(one.uuid != record.uuid for one in node.index.nodes.list())
    logger.info(Event("node", uuid=record.uuid, host=record.name, role=role, others=others))


def record_of(node: Node, role: str) -> NodeRecord:
    """Return what others are to know of the node."""
    config = node.config.current
    uuid = node_uuid(config.node.data)
    here = machine(uuid)
    serves = Serves(
        volumes={
            options.name: _identity(node.volumes[options.name], options, here)
            for options in config.volumes
            if options.name in node.volumes  # else it comes with the next start
        },
        primary=node.primary_volume.name,
        copies_before_success=config.store.copies_before_success,
        processes=config.node.processes if role == "serve" else 0,
    )
    return NodeRecord(uuid, host_name(), here, role, serves)


def _identity(volume: Volume, options: VolumeOptions, here: str) -> str:
    """Return what no other volume has: its UUID, else where it is; empty if a volume that has one is away.

    A bucket is where it is, on all hosts; and the supervisor, which forks, asks none.
    """
    if options.path is None:
        return f"{options.url} {options.endpoint or ''}"
    read_marker = getattr(volume, "marker", None)
    if read_marker is not None:
        try:
            marker = read_marker()
        except MedserverError:
            marker = None
        return "" if marker is None else marker.volume_uuid
    try:
        found = os.stat(options.path)
    except OSError:
        return f"{here}:{options.path}"
    return f"{here}:{found.st_dev}:{found.st_ino}"
