"""Requests of print management: the session of the association, and the SOP class that a command names."""

from __future__ import annotations

import logging

from medserver.dicom import print_classes as classes
from medserver.dicom.uids import is_valid_uid
from medserver.errors import InvalidObjectInstance, NoSuchAction, NotAuthorised, UnrecognisedOperation
from medserver.log import Event
from medserver.node import Node
from medserver.printing.printer_states import known_state
from medserver.printing.sessions import PrintSession
from medserver.services.attribute_list import received_attributes
from medserver.services.printing.entities import READS_ITSELF, Call, method_for
from medserver.services.printing.printer_report import PrinterReport
from medserver.services.printing.statuses import is_stated
from medserver.services.request import Request, Response
from medserver.wire.command_set import CommandField

PRINT_ACTION = 1

TELLING = (*classes.META_SOP_CLASSES, classes.PRINTER)
"""In whose presentation contexts events of the printer are told."""

logger = logging.getLogger(__name__)


def perform(request: Request, node: Node) -> Response:
    """Do what a request asks for.

    Raises
    ------
    RequestError
        It cannot be done.
    """
    command_set = request.message.command_set
    command_field = CommandField(request.message.command_field)
    method = method_for(request.sop_class_uid, command_field)
    uid = str(command_set.get("AffectedSOPInstanceUID") or command_set.get("RequestedSOPInstanceUID") or "")
    if uid and not is_valid_uid(uid):
        raise InvalidObjectInstance("the SOP Instance UID is not a valid UID")
    if command_field == CommandField.N_ACTION and command_set.get("ActionTypeID") != PRINT_ACTION:
        raise NoSuchAction("there is action type 1 only: print")
    session = _session(request, node)
    if method in READS_ITSELF or not request.message.has_data_set:
        response = method(Call(request, node, session, uid, {}))
    else:
        with received_attributes(request) as attributes:
            response = method(Call(request, node, session, uid, attributes))
    if not is_stated(request.sop_class_uid, command_field, response.code):
        raise LookupError(f"status {response.code:04X} of {command_field.name} is not in the table of print management")
    _tell_of_printer(request, node, session)
    if command_field == CommandField.N_ACTION:
        logger.info(Event("print", printer=session.printer.name, uid=uid))
    return response


def _tell_of_printer(request: Request, node: Node, session: PrintSession) -> None:
    """Report that the printer is not as it was, once the request is answered (PS3.4 H.4.6.2.1)."""
    state = known_state(node, session.printer)
    if state == session.printer_state:
        return
    session.printer_state = state
    contexts = request.association.contexts.values()
    context = next((each for each in contexts if each.abstract_syntax in TELLING), None)
    if context is not None:
        request.association.reports.append(PrinterReport(context, session.printer.name, state))


def _session(request: Request, node: Node) -> PrintSession:
    """Return what the peer has made on its association.

    Raises
    ------
    NotAuthorised
        It may not print on the printer.
    UnrecognisedOperation
        There is no printer.
    """
    session = request.association.print_session
    if session is None:
        printer = request.config.printer_for(request.association.called_ae_title)
        if printer is None:
            raise UnrecognisedOperation("no printer has this called AE title")
        session = PrintSession(node, printer, request.association.requestor.ae_title.strip())
        session.printer_state = known_state(node, printer)
        request.association.print_session = session
    if session.printer.clients and request.remote.name not in session.printer.clients:
        raise NotAuthorised(f"printer {session.printer.name} is not for the calling AE")
    return session
