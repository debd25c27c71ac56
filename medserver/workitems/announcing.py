"""The node begins or ends: who watches work items is told (SCP Status Change, PS3.4 CC.2.4.3)."""

from __future__ import annotations

from medserver.dicom.uids import UPS_GLOBAL_SUBSCRIPTION_INSTANCE
from medserver.node import Node
from medserver.workitems.events import Event, scp_status_change
from medserver.workitems.follow_ups import event_jobs

RESTARTED, GOING_DOWN = "RESTARTED", "GOING DOWN"
WARM_START, COLD_START = "WARM START", "COLD START"

_KNOWN = "workitems"
"""The name of the progress that tells that this index has had its first start: it is gone with a new index."""


def receivers(node: Node) -> list[str]:
    """Return the AE titles that are told: all that are subscribed to anything, and those of the configuration."""
    config = node.config.current
    named = [config.remote_by_name(name) for name in config.workitems.status_to]
    titles = [remote.ae_title for remote in named if remote is not None]
    return list(dict.fromkeys([*node.index.workitems.subscriptions.receivers(), *titles]))


def restarted(node: Node) -> None:
    """Have it told that the node begins: with all items and subscriptions that there were, unless the index is new."""
    progress = node.index.progress
    start = WARM_START if progress.get(_KNOWN) else COLD_START
    if start == COLD_START:
        progress.set(_KNOWN, "known")
    told = receivers(node)
    if not told:
        return
    event = scp_status_change(RESTARTED, start)
    node.index.add_jobs(event_jobs(node, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, [event], told))


def going_down() -> Event:
    """Return what is told at the end."""
    return scp_status_change(GOING_DOWN)
