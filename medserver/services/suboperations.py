"""The sub-operations of a C-MOVE or C-GET: their counts and what is reported of them (PS3.4 C.4.2.1, C.4.3.1).

Those of a C-GET go over the association of the request, one after the other: `perform`. Those of a C-MOVE wait for
another AE, for minutes if it is slow: a thread performs them, and that of the association reports and looks for a
C-CANCEL meanwhile: `BackgroundOperation`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from itertools import islice

from pydicom.dataset import Dataset

from medserver.dicom import status
from medserver.dicom.data_sets import write_data_set
from medserver.errors import AssociationAborted, MedserverError, OutOfResources
from medserver.index import Selection, StoredCopy
from medserver.log import Event, Whole
from medserver.services.request import Request, Response

REPORT_EVERY_S = 0.05
"""How often a pending response tells the counts."""

REPORT_WAITING_S = 1.0
"""How often it tells them where they do not change, so that the requestor goes on waiting."""

ENDS_WITHIN_S = 2.0
"""How long a sub-operation that is under way has to end when the operation is cancelled; then it is interrupted."""

COUNT_MAX = 0xFFFF
"""The counts are US (PS3.7 9.3.4.2): more sub-operations are performed, not counted further."""

FAILED_UIDS_MAX = 1000
"""So many UIDs fit into one element with a 16-bit length (PS3.5 7.1.2)."""

logger = logging.getLogger(__name__)

Deliver = Callable[[StoredCopy], tuple[int, str]]
"""Sends one instance and returns the status of the receiver, and its comment.

It raises `AssociationAborted` where that ends the operation; any other error is a sub-operation that failed."""


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

    def record(self, sop_instance_uid: str, code: int) -> bool:
        """Count one sub-operation by the status of its C-STORE; tell whether it succeeded, perhaps with a warning."""
        self.remaining -= 1
        if code == status.SUCCESS:
            self.completed += 1
        elif status.is_warning(code):
            self.warning += 1
        else:
            self.failed += 1
            if len(self.failed_uids) < FAILED_UIDS_MAX:
                self.failed_uids.append(sop_instance_uid)
            return False
        return True

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
        return write_data_set(identifier, request.context.transfer_syntax_uid)


def perform(
    request: Request, count: int, instances: Iterable[StoredCopy], deliver: Deliver
) -> Iterator[Response]:
    """Deliver the instances one after the other, look for a C-CANCEL in between, and report.

    The log names those that fail, as far as the response does.
    """
    suboperations = Suboperations(count)
    reported_at = time.monotonic()
    if count:
        yield suboperations.pending()
    for instance in instances:
        if request.cancelled:
            yield suboperations.cancelled(request)
            return
        _record(request, suboperations, instance, *_delivered(deliver, instance))
        if suboperations.remaining and time.monotonic() - reported_at > REPORT_EVERY_S:
            reported_at = time.monotonic()
            yield suboperations.pending()
    yield suboperations.finished(request)


def _record(request: Request, suboperations: Suboperations, instance: StoredCopy, code: int, reason: str) -> None:
    """Count a sub-operation; the log names it if it failed, as far as the response does."""
    uid = instance.sop_instance_uid
    is_sent = suboperations.record(uid, code)
    request.counts.add(instance.sop_class_uid, "sent" if is_sent else "failed")
    (request.audited.sent if is_sent else request.audited.failed).append(uid)
    if not is_sent and suboperations.failed <= FAILED_UIDS_MAX:
        logger.warning(Event("not sent", sop_instance_uid=uid, status=f"{code:04X}", reason=reason or None))


class BackgroundOperation:
    """Performs the sub-operations of a C-MOVE in a thread of its own.

    The lock is held by who uses the association of the request or the counts: the thread looks for a C-CANCEL between
    two instances, that of the association while the thread waits.

    Parameters
    ----------
    request : Request
        The C-MOVE.
    selection : Selection
        The instances.
    perform_all : callable
        Called with this object, in the thread: sends what `wanted` yields and calls `record`. Returns why the rest of
        the instances, or all of them, cannot be sent: they are counted as failed; empty if all were tried.
    interrupt : callable
        Ends at once what `perform_all` waits for.
    """

    def __init__(
        self,
        request: Request,
        selection: Selection,
        perform_all: Callable[[BackgroundOperation], str],
        interrupt: Callable[[], None],
    ) -> None:
        self._request = request
        self._suboperations = Suboperations(selection.count)
        self._selection = selection
        self._rest: Iterable[StoredCopy] = selection
        self._perform_all = perform_all
        self._interrupt = interrupt
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_stopped = self._is_cancelled = False
        self._problem = ""
        self._error: BaseException | None = None

    @property
    def remaining(self) -> int:
        """Return how many sub-operations have not been performed."""
        return self._suboperations.remaining

    def wanted(self, instances: Iterable[StoredCopy]) -> Iterator[StoredCopy]:
        """Yield the instances until the operation is cancelled."""
        self._rest = iter(instances)
        for instance in self._rest:
            with self._lock:
                if self._is_stopped or self._look_for_cancel():
                    return
            yield instance

    def record(self, instance: StoredCopy, code: int, comment: str) -> None:
        """Count one sub-operation by the status of its C-STORE; the log has why it failed."""
        with self._lock:
            if not self._is_stopped:
                _record(self._request, self._suboperations, instance, code, comment)

    def responses(self) -> Iterator[Response]:
        """Perform the operation and yield its responses.

        Raises
        ------
        OutOfResources
            There can be no thread.
        """
        thread = threading.Thread(target=copy_context().run, args=(self._run,), name="C-MOVE", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            raise OutOfResources(f"no thread for the C-MOVE: {error}") from error
        try:
            yield from self._pending()
            yield self._last()
        finally:
            with self._lock:
                self._is_stopped = True
            if not self._ended.wait(ENDS_WITHIN_S):
                self._interrupt()

    def _run(self) -> None:
        try:
            self._problem = self._perform_all(self)
            if self._problem:
                with self._lock:
                    self._fail_rest()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the association
            self._error = error
        self._ended.set()

    def _fail_rest(self) -> None:
        if self._is_stopped:
            return
        if self._rest is self._selection:
            for sop_class_uid, _, count in self._selection.contexts:
                self._request.counts.add(sop_class_uid, "failed", count)
            self._suboperations.fail_all(instance.sop_instance_uid for instance in self._rest)
            self._request.audited.has_failed = True
        for instance in self._rest if self._suboperations.remaining else ():
            self._suboperations.record(instance.sop_instance_uid, status.PROCESSING_FAILURE)
            self._request.audited.failed.append(instance.sop_instance_uid)
            self._request.counts.add(instance.sop_class_uid, "failed")

    def _look_for_cancel(self) -> bool:
        self._is_cancelled = self._is_cancelled or self._request.cancelled
        return self._is_cancelled

    def _pending(self) -> Iterator[Response]:
        """Yield what is reported until the thread has ended, or the operation is cancelled."""
        reported_at, reported = time.monotonic(), self._suboperations.remaining
        while not self._ended.wait(REPORT_EVERY_S):
            with self._lock:
                if self._look_for_cancel():
                    break
                is_changed = self._suboperations.remaining != reported
                if is_changed or time.monotonic() - reported_at >= REPORT_WAITING_S:
                    reported_at, reported = time.monotonic(), self._suboperations.remaining
                    yield self._suboperations.pending()

    def _last(self) -> Response:
        is_ended = self._ended.wait(ENDS_WITHIN_S)
        with self._lock:
            self._is_stopped = True
            if not is_ended:  # cancelled within an instance, which counts as one that remains
                self._interrupt()
            if self._error is not None:
                raise self._error
            if self._is_cancelled and self._suboperations.remaining:
                return self._suboperations.cancelled(self._request)
            return self._suboperations.finished(self._request, self._problem)


def _delivered(deliver: Deliver, instance: StoredCopy) -> tuple[int, str]:
    """Deliver an instance; return its status, and the comment of the receiver or what went wrong here."""
    try:
        return deliver(instance)
    except AssociationAborted:
        raise
    except (MedserverError, OSError) as error:
        return status.PROCESSING_FAILURE, Whole(error)
