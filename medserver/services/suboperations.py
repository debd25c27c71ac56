"""The sub-operations of a C-MOVE or C-GET: their counts and what is reported of them (PS3.4 C.4.2.1, C.4.3.1)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from pydicom.dataset import Dataset

from medserver.dicom import status
from medserver.index import StoredCopy
from medserver.scu.exchange import encode_data_set
from medserver.services.request import Request, Response

REPORT_EVERY_S = 0.05
"""How often a pending response tells the counts."""

COUNT_MAX = 0xFFFF
"""The counts are US (PS3.7 9.3.4.2): more sub-operations are performed, not counted further."""

FAILED_UIDS_MAX = 1000
"""So many UIDs fit into one element with a 16-bit length (PS3.5 7.1.2)."""

Deliver = Callable[[StoredCopy], int]
"""Sends one instance and returns the status of the receiver."""


class Suboperations:
    """Counts sub-operations and makes the responses that report them.

    Parameters
    ----------
    count : int
        How many there are to perform.
    """

    def __init__(self, count: int) -> None:
        self.remaining = count
        self.completed = 0
        self.failed = 0
        self.warning = 0
        self.failed_uids: list[str] = []

    def record(self, sop_instance_uid: str, code: int) -> None:
        """Count one sub-operation by the status of its C-STORE."""
        self.remaining -= 1
        if code == status.SUCCESS:
            self.completed += 1
        elif status.is_warning(code):
            self.warning += 1
        else:
            self.failed += 1
            if len(self.failed_uids) < FAILED_UIDS_MAX:
                self.failed_uids.append(sop_instance_uid)

    def fail_all(self, sop_instance_uids: Iterable[str]) -> None:
        """Count all that remain as failed; no more UIDs are taken than can be listed."""
        self.failed_uids += islice(sop_instance_uids, FAILED_UIDS_MAX - len(self.failed_uids))
        self.failed += self.remaining
        self.remaining = 0

    def pending(self) -> Response:
        """Return the response that says how far it is."""
        return Response(status.PENDING, elements=self._counts(True))

    def cancelled(self, request: Request) -> Response:
        """Return the response that ends a cancelled operation."""
        return Response(status.CANCEL, identifier=self._identifier(request), elements=self._counts(True))

    def finished(self, request: Request, comment: str = "") -> Response:
        """Return the response that ends the operation.

        Success if nothing failed, A702 if everything did, else B000 (PS3.4 table C.4-2).
        """
        if not self.failed and not self.warning:
            return Response(elements=self._counts(False))
        if self.completed or self.warning:
            code = status.SUBOPERATIONS_WARNING
        else:
            code = status.CANNOT_PERFORM_SUBOPERATIONS
        return Response(code, comment, self._identifier(request), self._counts(False))

    def _counts(self, with_remaining: bool) -> dict[str, int]:
        counts = {
            "NumberOfCompletedSuboperations": min(self.completed, COUNT_MAX),
            "NumberOfFailedSuboperations": min(self.failed, COUNT_MAX),
            "NumberOfWarningSuboperations": min(self.warning, COUNT_MAX),
        }
        if with_remaining:
            counts["NumberOfRemainingSuboperations"] = min(self.remaining, COUNT_MAX)
        return counts

    def _identifier(self, request: Request) -> bytes | None:
        if not self.failed_uids:
            return None
        identifier = Dataset()
        identifier.FailedSOPInstanceUIDList = self.failed_uids
        return encode_data_set(identifier, request.context.transfer_syntax_uid)


def perform(
    request: Request, count: int, instances: Iterable[StoredCopy], deliver: Deliver
) -> Iterator[Response]:
    """Deliver the instances one after the other, look for a C-CANCEL in between, and report."""
    suboperations = Suboperations(count)
    reported_at = time.monotonic()
    if count:
        yield suboperations.pending()
    for instance in instances:
        if request.cancelled:
            yield suboperations.cancelled(request)
            return
        suboperations.record(instance.sop_instance_uid, deliver(instance))
        if suboperations.remaining and time.monotonic() - reported_at > REPORT_EVERY_S:
            reported_at = time.monotonic()
            yield suboperations.pending()
    yield suboperations.finished(request)


def refuse(request: Request, count: int, instances: Iterable[StoredCopy], comment: str) -> Response:
    """Return the one response to an operation of which no sub-operation can even be tried."""
    suboperations = Suboperations(count)
    suboperations.fail_all(instance.sop_instance_uid for instance in instances)
    return suboperations.finished(request, comment)
