"""One AE is asked what it has; what we lack of it is fetched.

Nothing is fetched twice: what is there is compared by SOP Instance UID, series by series, also where the numbers of
instances of a study are equal: they may be others. An interrupted run needs no memory: the next one finds out again
what is missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from itertools import islice
from types import MappingProxyType

from medserver.config import Poll, Remote
from medserver.destinations import standing_of
from medserver.dicom import status
from medserver.errors import RemoteError, RequestError, UnknownRemote
from medserver.fetching import UIDS_PER_REQUEST, Source, identifier_of
from medserver.log import Event, Whole
from medserver.node import Node
from medserver.polling.inventory import Inventory
from medserver.polling.runs import Run
from medserver.scu.session import Standing

BROKEN_MAX = 10
"""After so many studies in a row at which an AE has failed, the rest is left for the next time."""

NAMED_MAX = 100
"""So many studies that were skipped are named in what is noted; all are in the log."""

_MORE = "there is more, which comes the next time"
_NOTHING: Mapping[str, str] = MappingProxyType({})

logger = logging.getLogger(__name__)


def collect(
    node: Node, poll: Poll, late: Mapping[str, str] = _NOTHING, gives_way: Callable[[], bool] = lambda: False
) -> Run:
    """Ask an AE, and fetch what is missing here.

    A failure of the AE costs the study at which it happens; a run ends early when the AE cannot be reached any more,
    or has failed at `BROKEN_MAX` studies in a row.

    Parameters
    ----------
    late : mapping of str to str
        Study Instance UID to the reason: what comes last, because it was skipped the last time.
    gives_way : callable
        Tells whether what is left is to be left for the next time; it is asked after each retrieve, and each study
        that was skipped.

    Raises
    ------
    RemoteError, RequestError
        The AE cannot be reached, or does not answer the query for studies.
    UnknownRemote
        The configuration does not have it any more.
    """
    return _Collection(node, poll, late, gives_way).run()


class _Collection:
    """One run; the counts grow with it."""

    def __init__(self, node: Node, poll: Poll, late: Mapping[str, str], gives_way: Callable[[], bool]) -> None:
        self._node = node
        self._poll = poll
        self._gives_way = gives_way
        self._config = node.config.current
        remote = self._config.remote_by_name(poll.source)
        if remote is None or not remote.is_destination:
            raise UnknownRemote(f"no entry [ae {poll.source}] with an address and a port")
        self._remote: Remote = remote
        self._inventory = Inventory(node, poll, remote)
        self._skipped = dict(late)
        self._run = Run()

    def run(self) -> Run:
        with closing(self._inventory):
            studies = self._inventory.studies(standing_of(self._node, self._remote))
            self._run = replace(self._run, studies=len(studies))
            # What was skipped the last time comes last, and is called skipped until it is collected.
            known = set(studies)
            self._skipped = {study: why for study, why in self._skipped.items() if study in known}
            fresh = [study for study in studies if study not in self._skipped]
            reason = self._collect_all([*fresh, *self._skipped])
        skipped = self._skipped and f"studies that were skipped: {len(self._skipped)}"
        first = next((f"the first is {study}: {why}" for study, why in self._skipped.items()), "")
        days = ", ".join(self._inventory.limited)
        limited = days and f"days with more studies than are told: {days}"
        return replace(
            self._run,
            problem="; ".join(filter(None, (reason, skipped, first, limited))),
            skipped_count=len(self._skipped),
            skipped=dict(islice(self._skipped.items(), NAMED_MAX)),
        )

    def _collect_all(self, studies: Iterable[str]) -> str:
        """Collect studies; return why some are left, empty if none are."""
        broken = 0
        for study in studies:
            # Each study has a standing of its own, so that broken ones do not add up to a source that is given up.
            standing = standing_of(self._node, self._remote)
            before = self._skipped.pop(study, None)
            try:
                left = self._collect(study, standing)
                broken = 0
            except (RemoteError, RequestError) as error:
                self._skip(study, str(error))
                broken += 1
                left = _MORE if self._gives_way() else ""
            if left:
                if before is not None:
                    self._skipped.setdefault(study, before)
                # Not at once if nothing came of it, nor where the administrator limits what is fetched at a time.
                is_continued = left == _MORE and self._run.fetched > 0 and not self._poll.instances_max
                self._run = replace(self._run, is_continued=is_continued)
                return left
            if standing.reason or broken == BROKEN_MAX:
                return f"{self._remote.name} is left alone until the next time"
        return ""

    def _collect(self, study: str, standing: Standing) -> str:
        """Fetch what is missing of a study; return why not all of it was asked for, empty if it was.

        Raises
        ------
        RemoteError, RequestError
            The AE fails, or sends what cannot be read.
        """
        found = self._inventory.series(standing, study)
        self._run = replace(
            self._run,
            instances=self._run.instances + sum(series.count for series in found),
            missing=self._run.missing + sum(len(series.missing) for series in found),
            deleted=self._run.deleted + sum(series.deleted_count for series in found),
        )
        for series in found:
            left = series.missing
            while left:
                if not (room := self._room()):
                    return "the limit of this time is reached"
                self._inventory.close()  # it is not kept idle while images are fetched
                some, left = left[:room], left[room:]
                self._fetch(standing, study, series.uid, dict(some))
                if self._gives_way():
                    return _MORE
        return ""

    def _skip(self, study: str, reason: str) -> None:
        """Note that a study could not be collected, or not all of it; the reason that came first stays."""
        logger.warning(Event("not collected", poll=self._poll.name, study=study, reason=Whole(reason)))
        self._skipped.setdefault(study, reason)

    # What we lack

    def _room(self) -> int:
        """Return how many instances may be asked for now."""
        limit = self._poll.instances_max
        return min(max(limit - self._run.fetched, 0), UIDS_PER_REQUEST) if limit else UIDS_PER_REQUEST

    def _fetch(self, standing: Standing, study: str, series: str, missing: dict[str, str]) -> None:
        """Fetch instances of a series; what does not come is said, and is asked for again the next time.

        Raises
        ------
        RemoteError, RequestError
            The association broke, or no presentation context was accepted.
        """
        identifier = identifier_of(study, series, missing)
        source = Source(self._node, self._remote, standing)
        try:
            if self._poll.retrieve == "move":
                code = source.move(identifier)
            else:
                sop_classes = {sop_class for sop_class in missing.values() if sop_class}
                code = source.get(identifier, sop_classes or None)
        finally:
            arrived = len(self._node.index.instances(list(missing)))
            self._run = replace(self._run, fetched=self._run.fetched + arrived)
        if arrived < len(missing):
            not_sent = f"{len(missing) - arrived} instances of series {series} were not sent"
            self._skip(study, f"{not_sent}; {status.describe(code)}")
