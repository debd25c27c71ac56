"""One AE is asked what it has; what we lack of it is fetched.

Nothing is fetched twice: what is there is compared by SOP Instance UID, series by series, unless the number of
instances of a study says already that we have them all. An interrupted run needs no memory: the next one finds out
again what is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

from pydicom.dataset import Dataset

from medserver import archive
from medserver.config import Poll, Remote
from medserver.dicom import status, uids
from medserver.dicom.conditions import SingleValue
from medserver.errors import DataSetMismatch, NoContextAccepted, UnknownRemote
from medserver.log import Event
from medserver.node import Node
from medserver.polling.runs import Run
from medserver.scu import query, retrieve
from medserver.scu.acceptance import storage_groups
from medserver.wire.association import AcceptedContext, Association
from medserver.wire.message import Message
from medserver.wire.requestor import Proposal, associated_with

UIDS_PER_REQUEST = 200
"""So many instances are asked for by one retrieve: peers have limits for the length of an identifier."""

logger = logging.getLogger(__name__)


def collect(node: Node, poll: Poll) -> Run:
    """Ask an AE, and fetch what is missing here.

    Raises
    ------
    RemoteError
        The AE cannot be reached, or answers no query. What was fetched before stays.
    UnknownRemote
        The configuration does not have it any more.
    """
    return _Collection(node, poll).run()


class _Collection:
    """One run; the counts grow with it."""

    def __init__(self, node: Node, poll: Poll) -> None:
        self._node = node
        self._poll = poll
        self._config = node.config.current
        remote = self._config.remote_by_name(poll.source)
        if remote is None or not remote.is_destination:
            raise UnknownRemote(f"no entry [ae {poll.source}] with an address and a port")
        self._remote: Remote = remote
        self._run = Run()

    def run(self) -> Run:
        with self._associated([query.proposal(uids.STUDY_ROOT_FIND)]) as asking:
            studies = list(self._studies(asking))
            self._run = replace(self._run, studies=len(studies))
            for study in studies:
                if self._is_complete(study):
                    continue
                for series, missing in self._missing(asking, str(study.StudyInstanceUID)):
                    while missing:
                        if not (room := self._room()):
                            return replace(self._run, problem="the limit of this time is reached")
                        some, missing = missing[:room], missing[room:]
                        self._fetch(str(study.StudyInstanceUID), series, dict(some))
        return self._run

    # What there is

    def _studies(self, asking: Association) -> Iterator[Dataset]:
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = identifier.NumberOfStudyRelatedInstances = None
        today = self._node.clock().astimezone().date()
        first = today - timedelta(days=self._poll.days_back)
        identifier.StudyDate = f"{first:%Y%m%d}-"
        for keyword, value in self._poll.keys:
            setattr(identifier, keyword, value)
        yield from _found(asking, identifier, "StudyInstanceUID")

    def _is_complete(self, study: Dataset) -> bool:
        """Tell whether we have as many instances of a study as the AE says that it has."""
        here = self._node.index.select([SingleValue("StudyInstanceUID", str(study.StudyInstanceUID))])
        return 0 < query.study_related_instances(study) == here.count

    def _missing(self, asking: Association, study: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Yield the series of a study with what we lack of it: SOP Instance UIDs and SOP Class UIDs."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "SERIES", study
        identifier.SeriesInstanceUID = None
        series = [str(one.SeriesInstanceUID) for one in _found(asking, identifier, "SeriesInstanceUID")]
        for each in series:
            identifier = Dataset()
            identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "IMAGE", study
            identifier.SeriesInstanceUID = each
            identifier.SOPInstanceUID = identifier.SOPClassUID = None
            there = {
                str(one.SOPInstanceUID): str(one.get("SOPClassUID") or "")
                for one in _found(asking, identifier, "SOPInstanceUID")
            }
            here = self._node.index.instances(list(there))
            missing = [(uid, sop_class) for uid, sop_class in there.items() if uid not in here]
            self._run = replace(
                self._run, instances=self._run.instances + len(there), missing=self._run.missing + len(missing)
            )
            yield each, missing

    # What we lack

    def _room(self) -> int:
        """Return how many instances may be asked for now."""
        limit = self._poll.instances_max
        return min(max(limit - self._run.fetched, 0), UIDS_PER_REQUEST) if limit else UIDS_PER_REQUEST

    def _fetch(self, study: str, series: str, missing: dict[str, str]) -> None:
        """Fetch instances of a series; what does not come is said, and is asked for again the next time."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "IMAGE", study
        identifier.SeriesInstanceUID, identifier.SOPInstanceUID = series, list(missing)
        try:
            if self._poll.retrieve == "move":
                code = self._move(identifier)
            else:
                code = self._get(identifier, {sop_class for sop_class in missing.values() if sop_class} or None)
        except NoContextAccepted as error:
            self._run = replace(self._run, problem=str(error))
            return
        came = len(self._node.index.instances(list(missing)))
        self._run = replace(self._run, fetched=self._run.fetched + came)
        if came < len(missing):
            words = f"instances that {self._remote.name} did not send: {len(missing) - came}; {status.describe(code)}"
            self._run = replace(self._run, problem=words)
            logger.warning(Event("not collected", poll=self._poll.name, series=series, reason=words))

    def _move(self, identifier: Dataset) -> int:
        with self._associated([query.proposal(uids.STUDY_ROOT_MOVE)]) as association:
            ours = self._config.node.ae_title
            for response in retrieve.move(association, uids.STUDY_ROOT_MOVE, identifier, ours):
                code = response.code
        return code

    def _get(self, identifier: Dataset, sop_classes: set[str] | None) -> int:
        code = status.SUCCESS
        for contexts in storage_groups(sop_classes):
            with self._associated([query.proposal(uids.STUDY_ROOT_GET), *contexts]) as association:
                for response in retrieve.get(association, uids.STUDY_ROOT_GET, identifier, self._receive):
                    code = response.code
            if code == status.SUCCESS:
                break
        return code

    def _receive(self, context: AcceptedContext, message: Message) -> int:
        """Register what comes with a C-GET, as if it had been sent."""
        command_set = message.command_set
        if command_set.get("AffectedSOPClassUID") != context.abstract_syntax:
            raise DataSetMismatch("the SOP class is not that of the presentation context")
        with archive.receive(
            self._node,
            sop_class_uid=context.abstract_syntax,
            sop_instance_uid=command_set.get("AffectedSOPInstanceUID", ""),
            transfer_syntax_uid=context.transfer_syntax_uid,
            calling_ae_title=self._remote.ae_title,
            compress_to=self._config.compress_to(self._remote),
        ) as reception:
            reception.take(message.fragments())
        return status.SUCCESS

    def _associated(self, proposals: list[Proposal]) -> AbstractContextManager[Association]:
        """Open an association for what is done inside."""
        return associated_with(self._config, self._remote, proposals)


def _found(asking: Association, identifier: Dataset, named: str) -> Iterator[Dataset]:
    """Yield the matches of a query that name something, by a UID; they come from a peer."""
    for dataset in query.matches(asking, uids.STUDY_ROOT_FIND, identifier):
        if uids.is_valid_uid(str(dataset.get(named) or "")):
            yield dataset
