"""Instances of another AE are fetched and registered, by C-GET or C-MOVE: for polls, and for what is processed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from pydicom.dataset import Dataset

from medserver import archive
from medserver.config import Remote
from medserver.destinations import session_with
from medserver.dicom import status, uids
from medserver.errors import DataSetMismatch, MedserverError
from medserver.index import InstanceRecord, NewJob
from medserver.node import Node
from medserver.scu import query, retrieve
from medserver.scu.acceptance import storage_groups
from medserver.scu.counts import Counts, counted
from medserver.scu.exchange import Response
from medserver.scu.session import Session, Standing
from medserver.wire.association import AcceptedContext
from medserver.wire.message import Message
from medserver.wire.requestor import Proposal

FollowUps = Callable[[InstanceRecord], Iterable[NewJob]]
"""Returns what follows from an object that was fetched and is new, see `archive.receive`."""

UIDS_PER_REQUEST = 200
"""So many instances are asked for by one retrieve: peers have limits for the length of an identifier."""


def identifier_of(study: str, series: str = "", instances: Iterable[str] = ()) -> Dataset:
    """Return what asks for instances, for a series, or for a study (PS3.4 C.6.2)."""
    identifier = Dataset()
    identifier.StudyInstanceUID = study
    identifier.QueryRetrieveLevel = "STUDY"
    if series:
        identifier.QueryRetrieveLevel, identifier.SeriesInstanceUID = "SERIES", series
    listed = list(instances)
    if listed:
        identifier.QueryRetrieveLevel, identifier.SOPInstanceUID = "IMAGE", listed
    return identifier


@dataclass(frozen=True, slots=True)
class Source:
    """An AE from which is fetched.

    Parameters
    ----------
    node : Node
        Where what comes is registered.
    remote : Remote
        Its entry, with an address and a port.
    standing : Standing
        What is known of it; what comes of it is told there.
    follow_ups : callable
        What follows from each object that comes by C-GET. What comes by C-MOVE is received as from anybody.
    move_message_id : int
        The Message ID of a C-MOVE, by which the C-STOREs are known that follow from it; 0: any.
    """

    node: Node
    remote: Remote
    standing: Standing
    follow_ups: FollowUps = lambda record: ()
    move_message_id: int = 0

    def get(self, identifier: Dataset, sop_classes: Iterable[str] | None) -> int:
        """Fetch by C-GET, and return the status with which that ended.

        Parameters
        ----------
        identifier : Dataset
            See `identifier_of`.
        sop_classes : iterable of str or None
            Of what is asked for; None: unknown, all are proposed, in as many associations as that takes.

        Raises
        ------
        RemoteError, RequestError
            The association broke, or no presentation context was accepted.
        """
        code = status.SUCCESS
        for contexts in storage_groups(sop_classes):
            with (
                self._session([query.proposal(uids.STUDY_ROOT_GET), *contexts]) as session,
                counted(remote=self.remote.name) as counts,
            ):
                receive = partial(self._receive, counts)
                code = session.perform(
                    lambda association: _last_code(
                        retrieve.get(association, uids.STUDY_ROOT_GET, identifier, receive)
                    )
                )
            if code == status.SUCCESS:
                break
        return code

    def move(self, identifier: Dataset) -> int:
        """Have it sent to this node by C-MOVE, and return the status with which that ended; raises as `get`."""
        ours = self.node.config.current.node.ae_title
        with self._session([query.proposal(uids.STUDY_ROOT_MOVE)]) as session:
            return session.perform(
                lambda association: _last_code(
                    retrieve.move(association, uids.STUDY_ROOT_MOVE, identifier, ours, self.move_message_id)
                )
            )

    def _receive(self, counts: Counts, context: AcceptedContext, message: Message) -> int:
        """Register what comes with a C-GET, as if it had been sent, and count it."""
        try:
            self._register(context, message)
        except (MedserverError, OSError):
            counts.add(context.abstract_syntax, "refused")
            raise
        counts.add(context.abstract_syntax, "stored")
        return status.SUCCESS

    def _register(self, context: AcceptedContext, message: Message) -> None:
        command_set = message.command_set
        if command_set.get("AffectedSOPClassUID") != context.abstract_syntax:
            raise DataSetMismatch("the SOP class is not that of the presentation context")
        with archive.receive(
            self.node,
            sop_class_uid=context.abstract_syntax,
            sop_instance_uid=command_set.get("AffectedSOPInstanceUID", ""),
            transfer_syntax_uid=context.transfer_syntax_uid,
            calling_ae_title=self.remote.ae_title,
            compress_to=self.node.config.current.compress_to(self.remote),
            follow_ups=self.follow_ups,
        ) as reception:
            reception.take(message.fragments())

    def _session(self, proposals: list[Proposal]) -> Session:
        return session_with(self.node, self.remote, proposals, standing=self.standing)


def _last_code(responses: Iterable[Response]) -> int:
    """Return the status with which an operation ended."""
    *_, last = responses
    return last.code
