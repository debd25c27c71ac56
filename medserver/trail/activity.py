"""The node starts and stops; the configuration changes."""

from __future__ import annotations

import os

from medserver.audit import Actor, AuditRow, events
from medserver.audit.codes import SOFTWARE_CONFIGURATION, SUCCESS
from medserver.errors import MedserverError
from medserver.host import this_process
from medserver.node import Node
from medserver.trail.associations import finish_left
from medserver.trail.recording import node_actor, record, rows, this_process_actor

_DIGEST = "audit configuration:"
"""How the digest of the configuration of a node is named in `Index.progress`."""


def tell_start(node: Node, process_id: int | None = None) -> None:
    """Record that the node starts, and sum up what associations have carried whose process is gone.

    Parameters
    ----------
    process_id : int, optional
        The process that our log names; default: this one.

    Raises
    ------
    IndexFailure, OutOfResources
        It cannot be recorded, and must be.
    """
    finish_left(node)
    tell_configuration(node)
    _tell_activity(node, process_id, starts=True)


def tell_stop(node: Node, process_id: int | None = None) -> None:
    """Record that the node stops; the parameter and the errors are those of `tell_start`."""
    finish_left(node)
    _tell_activity(node, process_id, starts=False)


def _tell_activity(node: Node, process_id: int | None, *, starts: bool) -> None:
    config = node.config.current
    ours = node_actor(config)
    ours = Actor(ours.ae_title, ours.address, str(process_id or os.getpid()))
    record(node, [events.application_activity(ours, this_process_actor(), starts=starts)])


def tell_configuration(node: Node, who: Actor | None = None) -> bool:
    """Record that the configuration is another one than when this was last called, by whichever process of the node.

    Parameters
    ----------
    node : Node
        This node.
    who : Actor, optional
        Who has changed it, if that is known.

    Returns
    -------
    bool
        Whether it is.
    """
    name = _DIGEST + this_process(node.config.current.node.data).node
    digest = node.config.digest
    known = node.index.progress.get(name)
    if known == digest:
        return False

    def told() -> list[AuditRow]:
        ours = node_actor(node.config.current)
        text = f"the configuration has changed, its SHA-256 is {digest}"
        alert = events.security_alert(
            ours, SOFTWARE_CONFIGURATION, node.config.path.as_uri(), text,
            outcome=SUCCESS, performers=[who] if who else [], is_node=False,
        )  # fmt: skip
        return rows(node, [alert])

    try:
        return node.index.progress.exchange(name, known, digest, told() if known else [])
    except MedserverError:
        if node.config.current.audit.required:
            raise
        return False
