"""What was registered for an item, and is no result of it, is deleted.

====================================================  ==============================================================
a worker has registered some of the outputs, and      of which some are left, once
====================================================  ==============================================================
was lost; an object was deleted meanwhile             the item is CANCELED
was lost; an object was replaced meanwhile            what is made of the new one has other UIDs
was lost; a cancel was requested meanwhile            the item is CANCELED
was told that nobody wants it, or failed              the item is CANCELED
was stopped, and goes on when another one has ended   it finds that
====================================================  ==============================================================

Their UIDs are made of that of the item (`uids`), and nobody was told of them. What an external program has given UIDs
of its own is not found.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from medserver.archive.orders import order_deletion
from medserver.index import StoredCopy
from medserver.log import Event
from medserver.node import Node
from medserver.processing.uids import OUTPUTS_MAX, base_of, uid_made_for

PAGE = 500
"""So many UIDs are looked for at a time. Outputs are registered in the order of their numbers: where none of so many is
stored, none behind them is."""

logger = logging.getLogger(__name__)


def delete_leftovers(
    node: Node, sop_instance_uid: str, renewals: Sequence[int], numbers: Sequence[int] | None = None
) -> int:
    """Have what is stored under the UIDs of outputs of an item deleted, but for those that are noted as its results.

    What was received a second time stays: somebody may have sent it, and been told that it is safe.

    Parameters
    ----------
    sop_instance_uid : str
        The item, which does not make them any more.
    renewals : sequence of int
        After how many renewals of its UIDs: see `uids.base_of`.
    numbers : sequence of int, optional
        The numbers of the outputs that were wanted; all without.

    Returns
    -------
    int
        How many instances.
    """
    noted = node.index.derivations.of_item(sop_instance_uid)
    results = {one.sop_instance_uid for one in noted.outputs} if noted is not None else set()
    own = node.config.current.node.ae_title
    left = [
        copy
        for count in renewals
        for copy in _stored(node, base_of(sop_instance_uid, count), numbers)
        if copy.sop_instance_uid not in results and copy.calling_ae_title == own and copy.receipts == 1
    ]
    if not left:
        return 0
    reason = f"it was made for work item {sop_instance_uid}, and is no result of it"
    ordered = order_deletion(node, left, by=own, reason=reason, is_alone=True)
    logger.info(Event("leftovers deleted", sop_instance_uid=sop_instance_uid, instances=len(ordered)))
    return len(ordered)


def _stored(node: Node, base: str, numbers: Sequence[int] | None) -> Iterator[StoredCopy]:
    wanted = range(1, OUTPUTS_MAX + 1) if numbers is None else sorted(numbers)
    for first in range(0, len(wanted), PAGE):
        uids = [uid_made_for(base, "instance", number) for number in wanted[first : first + PAGE]]
        found = node.index.instances(uids)
        if not found:
            return
        yield from found.values()
