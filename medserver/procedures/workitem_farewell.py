"""The node ends: who watches work items is told at once, for nobody performs jobs any more (PS3.4 CC.2.4.3)."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from contextlib import closing

from medserver.config import ConfigFile, Remote
from medserver.dicom.uids import UPS_GLOBAL_SUBSCRIPTION_INSTANCE
from medserver.errors import MedserverError
from medserver.log import Event
from medserver.node import Node, open_node
from medserver.scu import workitems as scu
from medserver.scu.session import Session
from medserver.wire.association import Association
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address
from medserver.workitems import announcing

WITHIN_S = 2.0
"""So long the node waits for all of them together when it ends [s]."""

RECEIVERS_MAX = 200
"""How many are told; each takes a thread."""

logger = logging.getLogger(__name__)


def tell_going_down(config_file: ConfigFile) -> None:
    """Tell all who watch that the node ends, those that can be reached within `WITHIN_S`.

    Raises
    ------
    IndexFailure
        The index does not work.
    """
    with closing(open_node(config_file, forks=True)) as node:
        known = (node.config.current.destination(title) for title in announcing.receivers(node))
        remotes = [remote for remote in known if remote is not None][:RECEIVERS_MAX]
        threads = [threading.Thread(target=_tell, args=(node, remote), daemon=True) for remote in remotes]
        deadline = time.monotonic() + WITHIN_S
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _tell(node: Node, remote: Remote) -> None:
    config = node.config.current
    limits = dataclasses.replace(
        WireLimits.from_options(config.limits),
        connection_timeout_s=WITHIN_S,
        acse_timeout_s=WITHIN_S,
        dimse_timeout_s=WITHIN_S,
    )
    try:
        with Session(Address.of(remote), [scu.EVENT_PROPOSAL], config.node.ae_title, limits) as session:
            session.perform(_send, repeats=False)
    except MedserverError as error:
        logger.info(Event("end not announced", receiver=remote.name, reason=str(error)))


def _send(association: Association) -> None:
    event = announcing.going_down()
    scu.report_event(association, UPS_GLOBAL_SUBSCRIPTION_INSTANCE, event.event_type_id, event.information)
