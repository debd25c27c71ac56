"""Who is told of changes of work items: of one, or of all that there are and will be (PS3.4 CC.2.3).

Each AE may subscribe each AE that the configuration knows an address of: the standard has one system subscribe another
one that it knows to be interested (PS3.4 CC.2.3.3).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice

from medserver.dicom.uids import UPS_FILTERED_GLOBAL_SUBSCRIPTION_INSTANCE, UPS_GLOBAL_SUBSCRIPTION_INSTANCE
from medserver.errors import ActionNotAppropriate, NoSuchWorkitem, UnknownReceiver
from medserver.index import Job, JobFilter, NewJob
from medserver.index.workitems.subscriptions import Told
from medserver.log import Event as LogEvent
from medserver.node import Node
from medserver.workitems.content import content_of
from medserver.workitems.events import state_report
from medserver.workitems.follow_ups import UPS_EVENT, EventPayload, event_jobs

PAGE_ROWS = 500
"""How many events are taken back in one transaction."""

logger = logging.getLogger(__name__)


def subscribe(node: Node, sop_instance_uid: str, receiver: str, has_lock: bool) -> None:
    """Have an AE told of changes of an item, or of all if it is the well-known instance.

    It is told at once of the state of the item; of all items only if they are kept for it (PS3.4 CC.2.4.3). A
    subscription to all changes none to a single item.

    Parameters
    ----------
    receiver : str
        The AE title that is to be told.
    has_lock : bool
        Whether the items are kept for it when they are final, until it unsubscribes.

    Raises
    ------
    UnknownReceiver
        No entry of the configuration has this AE title and an address with a port.
    NoSuchWorkitem
        There is no such item; or only some items are meant, by matching keys.
    """
    if node.config.current.destination(receiver) is None:
        raise UnknownReceiver("no entry [ae NAME] has an address with a port for the Receiving AE")
    _check_not_filtered(sop_instance_uid)

    def first(item: Told) -> Iterable[NewJob]:
        report = state_report(content_of(item.content), item.state)
        return event_jobs(node, item.sop_instance_uid, [report], [receiver])

    subscriptions = node.index.workitems.subscriptions
    if sop_instance_uid == UPS_GLOBAL_SUBSCRIPTION_INSTANCE:
        subscriptions.subscribe_to_all(receiver, has_lock, first if has_lock else None)
    elif not subscriptions.subscribe(sop_instance_uid, receiver, has_lock, first):
        raise NoSuchWorkitem("there is no work item of this UID")
    logger.info(LogEvent("subscribed", sop_instance_uid=sop_instance_uid, receiver=receiver, lock=has_lock))


def unsubscribe(node: Node, sop_instance_uid: str, receiver: str) -> None:
    """Have an AE told no longer of an item; or of none if it is the well-known instance.

    What it has not been told yet it is not told any more, but for what is being told at this moment.

    Raises
    ------
    UnknownReceiver
        The AE is neither known nor subscribed to anything.
    NoSuchWorkitem
        As for `subscribe`.
    """
    _check_known(node, receiver)
    _check_not_filtered(sop_instance_uid)
    subscriptions = node.index.workitems.subscriptions
    if sop_instance_uid == UPS_GLOBAL_SUBSCRIPTION_INSTANCE:
        subscriptions.unsubscribe_from_all(receiver)
    elif not subscriptions.unsubscribe(sop_instance_uid, receiver):
        raise NoSuchWorkitem("there is no work item of this UID")
    dropped = _take_back(node, sop_instance_uid, receiver)
    logger.info(
        LogEvent("unsubscribed", sop_instance_uid=sop_instance_uid, receiver=receiver, events=dropped or None)
    )


def suspend(node: Node, sop_instance_uid: str, receiver: str) -> None:
    """Have an AE told no longer of items that there will be; it goes on being told of those that there are.

    Raises
    ------
    UnknownReceiver
        As for `unsubscribe`.
    ActionNotAppropriate
        It is not the well-known instance (PS3.4 table CC.2.3-3).
    NoSuchWorkitem
        Only some items are meant, by matching keys.
    """
    _check_known(node, receiver)
    _check_not_filtered(sop_instance_uid)
    if sop_instance_uid != UPS_GLOBAL_SUBSCRIPTION_INSTANCE:
        raise ActionNotAppropriate("what is suspended is a subscription to all work items")
    node.index.workitems.subscriptions.suspend(receiver)
    logger.info(LogEvent("suspended", receiver=receiver))


def _take_back(node: Node, sop_instance_uid: str, receiver: str) -> int:
    """Drop the events of an item, or of all, that wait for an AE; return how many they were.

    Whoever is told of the starts and stops of this node by its configuration is told of these.
    """
    config, jobs, receiver = node.config.current, node.index.jobs, receiver.strip(" ")
    of_all = sop_instance_uid == UPS_GLOBAL_SUBSCRIPTION_INSTANCE
    keeps_status = any(remote.name in config.workitems.status_to for remote in config.remotes_by_ae_title(receiver))
    entries = {remote.name for remote in config.remotes_by_ae_title(receiver)}

    def is_taken_back(job: Job) -> bool:
        payload = EventPayload.of(job)
        if payload.receiver != receiver and (payload.receiver or job.destination not in entries):
            return False
        if payload.sop_instance_uid == UPS_GLOBAL_SUBSCRIPTION_INSTANCE:
            return of_all and not keeps_status
        return of_all or payload.sop_instance_uid == sop_instance_uid

    count = 0
    for state in jobs.lanes(UPS_EVENT):
        name = state.lane.destination
        if name in entries or config.remote_by_name(name) is None:
            waiting = jobs.list(JobFilter(UPS_EVENT, name, "waiting"))
            while page := list(islice((job.id for job in waiting if is_taken_back(job)), PAGE_ROWS)):
                count += len(jobs.drop(page))
    return count


def _check_known(node: Node, receiver: str) -> None:
    """Let also those unsubscribe whose entry has gone since."""
    if node.config.current.destination(receiver) is None:
        if receiver not in node.index.workitems.subscriptions.receivers():
            raise UnknownReceiver("the Receiving AE is neither configured nor subscribed")


def _check_not_filtered(sop_instance_uid: str) -> None:
    """Refuse subscriptions to some items, by matching keys, as who does not support them has to (PS3.4 CC.2.3.3)."""
    if sop_instance_uid == UPS_FILTERED_GLOBAL_SUBSCRIPTION_INSTANCE:
        raise NoSuchWorkitem("filtered global subscriptions are not supported")
