"""Chapter 7: associations and status codes."""

from __future__ import annotations

from medserver.conformance.configuration import default_of
from medserver.conformance.document import Section, Table
from medserver.conformance.facts import meaning, status_codes
from medserver.conformance.overview import NOT_SUPPORTED
from medserver.conformance.roles import other_syntaxes
from medserver.dicom import status, uids
from medserver.services.registry import SERVICES, STORAGE
from medserver.services.responses import STATUSES
from medserver.wire.command_set import CommandField
from medserver.wire.negotiation import (
    CALLED_AE_TITLE_NOT_RECOGNISED,
    CALLING_AE_TITLE_NOT_RECOGNISED,
    LOCAL_LIMIT_EXCEEDED,
    PDU_LENGTH_MIN,
)
from medserver.wire.requestor import CONTEXTS_MAX

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"

_USUAL = {
    status.SUCCESS: "The operation was performed.",
    status.PENDING: "C-FIND: a match. C-MOVE, C-GET: the numbers of sub-operations so far.",
    status.PENDING_WARNING: "C-FIND: a match; at least one key of the query is not supported.",
    status.CANCEL: "A C-CANCEL of the peer ended the operation.",
    status.SUBOPERATIONS_WARNING: "C-MOVE, C-GET: the end; some sub-operations failed or had a warning.",
}


_ROLES = {
    "store": "SCP; SCU for the sub-operations of a C-GET, by role selection",
    "commit": "SCP; SCU for reports on what the node has asked, by role selection",
}
"""By right; in all other services the node is the SCP."""


def communication_details() -> Section:
    """Return chapter 7."""
    return Section(
        "7",
        "Network and Media Communication Details",
        (),
        (
            Section(
                "7.1",
                "General",
                (),
                (
                    Section(
                        "7.1.1", "General Association Parameters", (_association_table(), _timeouts_table())
                    ),
                ),
            ),
            Section("7.2", "Specifications", (), (_application_entity(),)),
            Section(
                "7.3",
                "Status Codes",
                (),
                (
                    Section(
                        "7.3.1",
                        "General Communication and Failure Behaviour",
                        (
                            "An association that a peer aborts or that breaks down ends the operation "
                            "under way. What was being received and not yet answered with success is "
                            "dropped; what was answered with success stays. An operation that failed "
                            "because of a mistake in the program is answered with 0110. Error Comment "
                            "(0000,0902) says in words what was wrong.",
                        ),
                    ),
                    Section("7.3.2", "DIMSE Services", (statuses_table(),)),
                    Section("7.3.3", "DICOM Web Services", (NOT_SUPPORTED,)),
                ),
            ),
        ),
    )


def statuses_table() -> Table:
    """Return every status that the node answers."""
    rows = tuple(
        (f"{code:04X}", status.category(code), meaning(code), _condition(code)) for code in status_codes()
    )
    return Table("Status codes returned", ("Code", "Category", "Meaning", "When"), rows)


def _condition(code: int) -> str:
    """Return when a status is answered: the situations that the errors behind it describe."""
    if code in _USUAL:
        return _USUAL[code]
    if code == status.PROCESSING_FAILURE:
        return "Any other failure."
    errors = [error for error, error_code in STATUSES.items() if error_code == code]
    return " ".join((error.__doc__ or "").strip().splitlines()[0] for error in errors)


def _association_table() -> Table:
    rows = (
        ("Application Context Name", APPLICATION_CONTEXT_NAME),
        ("Implementation Class UID", uids.IMPLEMENTATION_CLASS_UID),
        ("Implementation Version Name", uids.IMPLEMENTATION_VERSION_NAME),
        ("AE title", f"{default_of('node', 'ae_title')} (configurable)"),
        ("Maximum PDU length received", f"{_limit('pdu_size_max_bytes')}, enforced"),
        ("Minimum PDU length of a peer", f"{PDU_LENGTH_MIN} bytes, or 0 for no limit"),
        ("Associations as acceptor", _limit("associations_max")),
        ("Associations from one address", _limit("associations_per_address_max")),
        ("Associations of one AE title", _limit("associations_per_ae_max")),
        ("Associations a minute from one address", _limit("associations_per_minute_per_address_max")),
        (
            "Associations as requestor",
            "for each C-MOVE as many as its contexts need, mostly one; one for each AE that is reported to",
        ),
        ("Presentation contexts proposed", f"at most {CONTEXTS_MAX} an association"),
        ("Asynchronous operations", "not negotiated: one operation at a time on an association"),
    )
    return Table("Association parameters", ("Parameter", "Value"), rows)


def _limit(name: str) -> str:
    return f"{default_of('limits', name)} (configurable)"


def _timeouts_table() -> Table:
    names = ("connection_timeout_s", "acse_timeout_s", "dimse_timeout_s", "network_timeout_s")
    rows = tuple((name, default_of("limits", name)) for name in names)
    return Table("Timeouts", ("Option of [limits]", "Default"), rows)


def _application_entity() -> Section:
    return Section(
        "7.2.1",
        "medserver Application Entity",
        (),
        (
            Section(
                "7.2.1.1",
                "Sequencing of Real-World Activities",
                ("None. An instance can be found and retrieved as soon as it has been stored.",),
            ),
            Section("7.2.1.2", "Association Parameters", ("Those of 7.1.1.",)),
            Section(
                "7.2.1.3",
                "Association Initiation",
                (
                    "The node opens an association to the Move Destination of a C-MOVE, one for each "
                    "C-MOVE, and releases it when the last sub-operation is done. A broken association is "
                    "opened again once for each instance; after three failures in a row the destination is "
                    "given up and the remaining sub-operations fail. Presentation contexts are proposed as "
                    "said in 5.2.5.1, with the node as SCU.",
                    "The node opens an association to an AE that has asked for storage commitment, to report; it "
                    "proposes the role of the SCP for itself (PS3.7 D.3.3.4). See 5.2.6.2.",
                    "For the rules of the configuration it opens one association at a time to a destination for each "
                    "of these: instances, notifications of their availability, performed procedure steps, requests "
                    "for storage commitment. It releases it when nothing more waits. After a failure it waits, up to "
                    "5 minutes.",
                ),
            ),
            Section(
                "7.2.1.4",
                "Association Acceptance",
                (
                    "Calling AE title and source address must match an [ae NAME] entry of the "
                    "configuration, and the called AE title must be that of the node. A presentation "
                    "context is accepted if the entry allows its service; of the transfer syntaxes of a "
                    "context, the first one in the order of the requestor that the node supports.",
                    _contexts_table(),
                    _rejections_table(),
                ),
            ),
        ),
    )


def _contexts_table() -> Table:
    rows = []
    for service in SERVICES:
        is_storage = service is STORAGE
        syntaxes = "all of the table in 1.1" if is_storage else other_syntaxes()
        role = _ROLES.get(service.right, "SCP")
        negotiation = "none"
        if service.name.startswith("Query/Retrieve"):
            is_query = CommandField.C_FIND in service.operations
            negotiation = "relational, combined date-time matching" if is_query else "relational"
        classes = f"all of the table in {'1.1' if is_storage else '1.2'}"
        rows.append((service.name, classes, syntaxes, role, negotiation))
    header = ("Service", "Abstract syntaxes", "Transfer syntaxes", "Role of the node", "Extended negotiation")
    return Table("Presentation contexts accepted", header, tuple(rows))


def _rejections_table() -> Table:
    reasons = (
        (CALLING_AE_TITLE_NOT_RECOGNISED, "calling AE title and source address match no entry"),
        (CALLED_AE_TITLE_NOT_RECOGNISED, "the called AE title is not that of the node"),
        (LOCAL_LIMIT_EXCEEDED, "a limit on associations is reached, or the peer takes only very short PDUs"),
    )
    rows = tuple((str(one.result), str(one.source), str(one.reason), text) for one, text in reasons)
    return Table("Rejections (PS3.8 9.3.4)", ("Result", "Source", "Reason", "When"), rows)
