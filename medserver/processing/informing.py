"""Who has sent images, and who gets the results, is told what will be done before it is: the job ``inform``.

Each entry of the configuration says how: it is subscribed to the work item, whose event it then gets, or a message is
posted to a URL, or sent by mail. The work waits until each has been told, or could not be at the first attempt, or for
`WAIT_MAX_S`. What could not be told is tried again, and shown as a job that waits.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from medserver.config import NOT_INFORMED, UPS_EVENT, Remote
from medserver.errors import UnknownReceiver
from medserver.index import JobFilter, NewJob
from medserver.index.jobs.batch import Batch
from medserver.index.jobs.outcome import Outcome, done, failed
from medserver.index.jobs.payloads import Payload
from medserver.log import Event
from medserver.node import Node
from medserver.processing.inputs import Input
from medserver.processing.requests import ProcessingRequest
from medserver.processing.types import ProcessingType
from medserver.workitems.follow_ups import UPS_EVENT as TELL
from medserver.workitems.follow_ups import EventPayload
from medserver.workitems.subscribing import subscribe

INFORM = "inform"
WAIT_MAX_S = 10.0
LOOKED_AT_MAX = 200
"""So many jobs of one receiver are looked at: if there are more it does not listen, and is not waited for."""

SENDER, RECEIVER = "sender", "receiver"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InformPayload(Payload):
    """The payload of `INFORM`; the destination of the job is the entry that is told.

    Parameters
    ----------
    sop_instance_uid : str
        The work item.
    type_name, meaning : str
        The type of processing.
    parameters : Mapping
        Its parameters, as they were given.
    studies : tuple of str
        Study Instance UIDs of the images.
    roles : tuple of str
        `SENDER`, `RECEIVER`, or both.
    """

    sop_instance_uid: str
    type_name: str
    meaning: str
    parameters: Mapping[str, Any]
    studies: tuple[str, ...]
    roles: tuple[str, ...]

    def message(self, node_ae_title: str, receiver: str) -> dict[str, Any]:
        """Return what is told."""
        return {
            "event": "processing",
            "from": node_ae_title,
            "to": receiver,
            "as": list(self.roles),
            "workitem": self.sop_instance_uid,
            "type": self.type_name,
            "meaning": self.meaning,
            "parameters": dict(self.parameters),
            "studies": list(self.studies),
        }


_TELLING: Mapping[str, type[InformPayload] | type[EventPayload]] = {INFORM: InformPayload, TELL: EventPayload}
"""The kinds of jobs that tell somebody of a work item."""


def parties(node: Node, request: ProcessingRequest, inputs: Iterable[Input]) -> dict[str, tuple[str, ...]]:
    """Return the entries that want to be told, and as what.

    Parameters
    ----------
    inputs : iterable of Input
        The images, whose senders are told.
    """
    senders = {one.copy.calling_ae_title or "" for one in inputs}
    found: dict[str, tuple[str, ...]] = {}
    for role, ae_titles in ((SENDER, sorted(senders)), (RECEIVER, request.destinations)):
        for ae_title in ae_titles:
            for remote in node.config.current.remotes_by_ae_title(ae_title):
                if remote.inform != NOT_INFORMED and role not in found.get(remote.name, ()):
                    found[remote.name] = (*found.get(remote.name, ()), role)
    return found


def begin(
    node: Node,
    sop_instance_uid: str,
    kind: ProcessingType,
    request: ProcessingRequest,
    told: Mapping[str, tuple[str, ...]],
) -> Iterator[NewJob]:
    """Subscribe to a work item who is told by events, and yield the jobs that tell the others.

    Parameters
    ----------
    told : Mapping of str to tuple of str
        See `parties`.

    Raises
    ------
    NoSuchWorkitem
        There is none of this UID.
    """
    studies = tuple(sorted({each.study_instance_uid for each in request.inputs}))
    for name, roles in told.items():
        remote = node.config.current.remote_by_name(name)
        if remote is None:
            continue
        if remote.inform == UPS_EVENT:
            _subscribe(node, sop_instance_uid, remote)
            continue
        payload = InformPayload(
            sop_instance_uid, kind.name, kind.meaning, dict(request.parameters), studies, roles
        )
        yield NewJob(INFORM, payload, destination=name)


def is_awaited(
    node: Node, sop_instance_uid: str, told: Iterable[str], since: datetime
) -> bool:
    """Tell whether somebody has not been told yet who may be within a moment.

    Parameters
    ----------
    told : iterable of str
        The entries.
    since : datetime
        When that began.
    """
    if abs(node.clock() - since) > timedelta(seconds=WAIT_MAX_S):  # or the clock was set back
        return False
    return any(_is_untried(node, sop_instance_uid, name) for name in told)


def inform(node: Node, batch: Batch) -> Iterator[Outcome]:
    """Tell the entry `batch.destination` what will be done."""
    remote = node.config.current.remote_by_name(batch.destination)
    for job in batch:
        if batch.should_stop:
            return
        if remote is None or remote.inform in (NOT_INFORMED, UPS_EVENT):  # it does not want to be told any more
            yield done(job)
            continue
        message = InformPayload.of(job).message(node.config.current.node.ae_title, remote.ae_title)
        try:
            _send(node, remote, message)
        except (OSError, ValueError) as error:
            yield failed(job, f"{remote.inform}: {error}")
            continue
        logger.info(Event("informed", entry=remote.name, sop_instance_uid=message["workitem"], type=message["type"]))
        yield done(job)


def _subscribe(node: Node, sop_instance_uid: str, remote: Remote) -> None:
    try:
        subscribe(node, sop_instance_uid, remote.ae_title, has_lock=False)
    except UnknownReceiver as error:
        logger.warning(Event("not informed", entry=remote.name, sop_instance_uid=sop_instance_uid, reason=str(error)))


def _is_untried(node: Node, sop_instance_uid: str, name: str) -> bool:
    for kind, payload in _TELLING.items():
        waiting = list(islice(node.index.jobs.list(JobFilter(kind, name)), LOOKED_AT_MAX))
        if len(waiting) < LOOKED_AT_MAX and any(
            not job.last_error and payload.of(job).sop_instance_uid == sop_instance_uid for job in waiting
        ):
            return True
    return False


def _send(node: Node, remote: Remote, message: Mapping[str, Any]) -> None:
    """Post a message, or send it by mail.

    Raises
    ------
    OSError, ValueError
        It could not be handed over.
    """
    from email.message import EmailMessage

    from medserver.processing import messages

    if remote.inform.startswith(("http://", "https://")):
        messages.post(remote.inform, message)
        return
    options = node.config.current.mail
    if options.server is None:
        raise ValueError("[mail] server is not set")
    mail = EmailMessage()
    mail["From"], mail["To"] = options.sender, remote.inform
    mail["Subject"] = f"{message['from']}: {message['meaning']}"
    mail.set_content(json.dumps(message, indent=2))
    messages.send_mail(options.server, mail)
