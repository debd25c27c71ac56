"""Storage as SCP (PS3.4 B): success is answered when the instance is safe on disk and in the index."""

from __future__ import annotations

from medserver import archive
from medserver.dicom.uids import uid_problem
from medserver.errors import DataSetMismatch, InvalidObjectInstance, MedserverError
from medserver.fetching import FollowUps
from medserver.node import Node
from medserver.printing.pulling.forgetting import forgets_moved
from medserver.printing.pulling.requesting import prints_display
from medserver.services.audit import carried_by
from medserver.services.request import Request, Response

STUDIES_MAX = 1000
"""Of so many studies the end of an association says that they are complete."""


def store(request: Request, node: Node) -> Response:
    """Register an instance (C-STORE, PS3.4 B.2).

    Raises
    ------
    DataSetMismatch
        The SOP class is not that of the presentation context, or the data set is another instance's.
    InvalidObjectInstance
        The SOP Instance UID is not a UID.
    """
    command_set = request.message.command_set
    sop_instance_uid = command_set.get("AffectedSOPInstanceUID", "")
    if request.sop_class_uid != request.context.abstract_syntax:
        raise DataSetMismatch("the SOP class is not that of the presentation context")
    if problem := uid_problem("SOP Instance UID", sop_instance_uid):
        raise InvalidObjectInstance(problem)
    if not request.message.has_data_set:
        raise DataSetMismatch("a C-STORE without a data set")
    calling, carried = request.association.requestor.ae_title, carried_by(request.association, node)
    with archive.receive(
        node,
        sop_class_uid=request.sop_class_uid,
        sop_instance_uid=sop_instance_uid,
        transfer_syntax_uid=request.context.transfer_syntax_uid,
        calling_ae_title=calling,
        compress_to=request.config.compress_to(request.remote),
        follow_ups=_follow_ups(request, node),
        transfer=carried.begin(),
    ) as reception:
        try:
            reception.take(request.message.fragments())
        except (MedserverError, OSError):
            carried.fail(reception.study_instance_uid, request.sop_class_uid)
            raise
        if request.config.goes_by("association") and len(request.association.studies) < STUDIES_MAX:
            request.association.studies.add(reception.study_instance_uid)
    return Response()


def _follow_ups(request: Request, node: Node) -> FollowUps:
    """Return what follows from an object by who it is sent to and why: a display to a printer, a fetch for a print."""
    printer = request.config.printer_called(request.association.called_ae_title)
    if printer is not None:
        return prints_display(printer.name, request.association.requestor.ae_title)
    return forgets_moved(node, request.message.command_set) or (lambda record: ())
