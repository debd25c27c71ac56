"""What an AE has: its studies, and what is missing here of each.

Nothing is fetched here, see `collecting`. An association for queries is closed before something is fetched: a peer may
end one on which nothing happens for a while.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from pydicom.dataset import Dataset

from medserver.config import Poll, Remote
from medserver.destinations import session_with
from medserver.dicom import status, uids
from medserver.dicom.character_sets import character_set_for
from medserver.node import Node
from medserver.scu import query
from medserver.scu.session import Session, Standing

Span = tuple[date, date | None]
"""The first day and the last one; without a last one it has no end."""

LIMITS = (status.OUT_OF_RESOURCES, status.CANCEL)
"""How an AE ends an answer when there are more matches than it sends (PS3.4 C.4.1.1.4)."""

LIMIT_MIN = 50
"""No AE is known that sends fewer matches than that and says nothing."""

LIMITED_MAX = 100
"""An AE that does not tell all studies of so many days is not limiting its answers: it fails."""


@dataclass(frozen=True, slots=True)
class Series:
    """The instances of a series that an AE has.

    Parameters
    ----------
    uid : str
        Series Instance UID.
    count : int
        How many instances there are.
    missing : tuple of (str, str)
        SOP Instance UID and SOP Class UID (empty if the AE does not tell it) of those that are not here.
    deleted_count : int
        How many are not here because they were deleted; these are not among the missing ones.
    """

    uid: str
    count: int
    missing: tuple[tuple[str, str], ...]
    deleted_count: int


class Inventory:
    """Queries of one AE; `close` ends its association, and the next query opens another one.

    Parameters
    ----------
    node : Node
        The index that is compared with.
    poll : Poll
        What is asked for.
    remote : Remote
        The AE.

    Attributes
    ----------
    limited : list of str
        The days, as values of Study Date, of which the AE does not tell all studies.
    """

    def __init__(self, node: Node, poll: Poll, remote: Remote) -> None:
        self._node = node
        self._poll = poll
        self._remote = remote
        self.limited: list[str] = []
        self._querying: Session | None = None

    def close(self) -> None:
        """End the association, if there is one."""
        session, self._querying = self._querying, None
        if session is not None:
            session.close()

    def studies(self, standing: Standing) -> list[str]:
        """Return the Study Instance UIDs of what is asked for.

        Where the AE limits its answers, it is asked for parts of the time, down to a day. It says that there are more
        (A700, FE00, any failure after matches), or sends a round number of matches and says nothing.

        Raises
        ------
        RemoteError
            The AE cannot be reached, or does not answer the query.
        """
        today = self._node.clock().astimezone().date()
        spans: list[Span] = [(today - timedelta(days=self._poll.days_back), None)]
        fixed = next((value for keyword, value in self._poll.keys if keyword == "StudyDate"), "")
        found: dict[str, None] = {}
        while spans:
            span = spans.pop()
            uids_of_span, code = self._studies_of(standing, span)
            found |= dict.fromkeys(uids_of_span)
            if code == status.SUCCESS and not _is_round(len(uids_of_span)):
                continue
            is_failure = code not in (status.SUCCESS, *LIMITS) and not found
            if is_failure or len(self.limited) == LIMITED_MAX:
                raise query.ended_with(self._remote.name, code)
            halves = [] if fixed else _halves(span, today)
            spans += halves
            if not halves and code != status.SUCCESS:
                self.limited.append(fixed or _range(span))
        return list(found)

    def _studies_of(self, standing: Standing, span: Span) -> tuple[list[str], int]:
        """Return the studies of a time that the AE tells, and the status that ended its answer."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "STUDY"
        identifier.StudyInstanceUID = None
        identifier.StudyDate = _range(span)
        # The keys travel in a character set that has them all (PS3.4 C.4.1.1.3.1): "?" would be a wild card.
        if character_set := character_set_for(value for _, value in self._poll.keys):
            identifier.SpecificCharacterSet = character_set
        for keyword, value in self._poll.keys:
            setattr(identifier, keyword, value)
        matches, code = self._session(standing).perform(
            lambda association: query.answer(association, uids.STUDY_ROOT_FIND, identifier)
        )
        return [uid for uid, _ in _named(matches, "StudyInstanceUID")], code

    def series(self, standing: Standing, study: str) -> list[Series]:
        """Return the series of a study, compared with the index by SOP Instance UID.

        Raises
        ------
        RemoteError
            As `studies`.
        """
        identifier = Dataset()
        identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "SERIES", study
        identifier.SeriesInstanceUID = None
        found = [uid for uid, _ in self._found(standing, identifier, "SeriesInstanceUID")]
        return [self._compared(standing, study, uid) for uid in found]

    def _compared(self, standing: Standing, study: str, series: str) -> Series:
        identifier = Dataset()
        identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "IMAGE", study
        identifier.SeriesInstanceUID = series
        identifier.SOPInstanceUID = identifier.SOPClassUID = None
        there = {
            uid: str(match.get("SOPClassUID") or "")
            for uid, match in self._found(standing, identifier, "SOPInstanceUID")
        }
        here = self._node.index.instances(list(there))
        absent = [uid for uid in there if uid not in here]
        deleted = self._node.index.tombstones.of_instances(absent)
        missing = tuple((uid, there[uid]) for uid in absent if uid not in deleted)
        return Series(series, len(there), missing, len(deleted))

    def _found(self, standing: Standing, identifier: Dataset, name: str) -> Iterator[tuple[str, Dataset]]:
        """Yield the matches of a query that name something, by a UID."""
        matches = self._session(standing).perform(
            lambda association: query.matches(association, uids.STUDY_ROOT_FIND, identifier)
        )
        yield from _named(matches, name)

    def _session(self, standing: Standing) -> Session:
        if self._querying is None:
            proposals = [query.proposal(uids.STUDY_ROOT_FIND)]
            self._querying = session_with(self._node, self._remote, proposals, standing=standing)
        self._querying.standing = standing
        return self._querying


def _named(matches: Iterable[Dataset], name: str) -> Iterator[tuple[str, Dataset]]:
    """Yield the matches that name something, by a UID; they come from a peer."""
    for match in matches:
        uid = str(match.get(name) or "")
        if uids.is_valid_uid(uid):
            yield uid, match


def _is_round(count: int) -> bool:
    """Tell whether a number of matches may be a limit of the AE: it is a multiple of 50, or a power of two."""
    return count >= LIMIT_MIN and (count % LIMIT_MIN == 0 or count & (count - 1) == 0)


def _halves(span: Span, today: date) -> list[Span]:
    """Return the halves of a time; none of a day, nor of what begins today."""
    first, last = span
    days = ((last or today) - first).days
    if days <= 0:
        return []
    middle = first + timedelta(days=(days - 1) // 2)
    return [(first, middle), (middle + timedelta(days=1), last)]


def _range(span: Span) -> str:
    """Return a time as a value of Study Date (PS3.4 C.2.2.2.5.1)."""
    first, last = span
    if first == last:
        return f"{first:%Y%m%d}"
    return f"{first:%Y%m%d}-" + (f"{last:%Y%m%d}" if last else "")
