"""Chapter 7: associations and status codes."""

from __future__ import annotations

from medserver.conformance.configuration import default_of
from medserver.conformance.document import Section, Table
from medserver.conformance.facts import meaning
from medserver.conformance.roles import other_syntaxes
from medserver.dicom import status, uids
from medserver.scu.idle import IDLE_S, OPEN_LONGEST_S
from medserver.services.registry import SERVICES, STORAGE
from medserver.services.responses import ANSWERS, Answer, operation_name
from medserver.wire.command_set import CommandField
from medserver.wire.negotiation import (
    APPLICATION_CONTEXT_NAME,
    APPLICATION_CONTEXT_NAME_NOT_SUPPORTED,
    CALLED_AE_TITLE_NOT_RECOGNISED,
    CALLING_AE_TITLE_NOT_RECOGNISED,
    LOCAL_LIMIT_EXCEEDED,
    NO_REASON_GIVEN,
    PDU_LENGTH_MIN,
    PROTOCOL_VERSION_NOT_SUPPORTED,
)
from medserver.wire.requestor import CONTEXTS_MAX

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
                    Section("7.3.3", "DICOM Web Services", ("HTTP/1.1, in the clear or over TLS, see 5.3.",)),
                ),
            ),
        ),
    )


def statuses_table() -> Table:
    """Return every status that the node answers."""
    rows = tuple(
        (f"{one.code:04X}", status.category(one.code), meaning(one.code), _operations(one), _when(one))
        for one in ANSWERS
    )
    return Table("Status codes returned", ("Code", "Category", "Meaning", "Operations", "When"), rows)


def _operations(answer: Answer) -> str:
    """Return the operations that are answered with a status."""
    return ", ".join(map(operation_name, sorted(answer.operations))) or "every operation"


def _when(answer: Answer) -> str:
    """Return when a status is answered, and the Error ID that goes with it."""
    return answer.when if answer.error_id is None else f"{answer.when} Error ID {answer.error_id:04X}."


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
                    "C-MOVE, and releases it when the last sub-operation is done. A connection that is refused, or an "
                    "association that is rejected (transient), is tried again for a second. A broken association is "
                    "opened again once for each instance; after three failures in a row the destination is "
                    "given up and the remaining sub-operations fail. Presentation contexts are proposed as "
                    "said in 5.2.5.1, with the node as SCU.",
                    "The node opens an association to an AE that has asked for storage commitment, to report; it "
                    "proposes the role of the SCP for itself (PS3.7 D.3.3.4). See 5.2.6.2.",
                    "For the rules of the configuration it opens one association at a time to a destination for each "
                    "of these: instances, notifications of their availability, performed procedure steps, requests "
                    "for storage commitment; of instances as many as the entry of the destination says. It releases it "
                    f"when nothing more waits. An association for instances stays open for {IDLE_S:.0f} s more, unless "
                    f"the node needs another one with that AE, and after {OPEN_LONGEST_S:.0f} s not any more. After a "
                    "failure it waits, up to 5 minutes.",
                ),
            ),
            Section(
                "7.2.1.4",
                "Association Acceptance",
                (
                    "Calling AE title and source address must match an [ae NAME] entry of the "
                    "configuration, and the called AE title must be that of the node. Spaces around an AE title "
                    "are not significant, and a NUL ends it. Of the protocol version only bit 0 is tested. Items "
                    "that are not recognised are skipped.",
                    _rejections_table(),
                    "A presentation context is accepted if the entry allows its service in one of the roles that the "
                    "requestor has: that of the SCU without role selection, else of those that it asks for the ones "
                    "that the entry allows. Without such a role the result is user-rejection (1), for a service that "
                    "is not allowed at all abstract-syntax-not-supported (3). An operation whose role was not "
                    "negotiated for its presentation context is answered with 0124.",
                    _contexts_table(),
                    "Of the transfer syntaxes of one context the first that can be served is accepted. For all "
                    "services but storage that is the first supported one in the order of the requestor. For storage "
                    "it is the first of these, and among equals the first in the order of the requestor:",
                    _transfer_syntaxes_table(),
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


def _transfer_syntaxes_table() -> Table:
    rows = (
        (
            "what the configuration prefers",
            "[store] transfer_syntaxes",
            "transfer_syntaxes of the entry, of those that the node can encode",
        ),
        ("uncompressed; in the classes of video, MPEG and HEVC as well", "all", "all"),
        ("deflated, or encapsulated", "all", "those that the node can encode"),
        (
            "other encapsulated ones",
            "for SOP classes without pixels",
            "for instances that are stored so; never for SOP classes without pixels",
        ),
    )
    header = ("Transfer syntaxes", "Requestor as SCU (C-STORE)", "Requestor as SCP (C-GET)")
    return Table("Choice of the transfer syntax of a storage context", header, rows)


def _rejections_table() -> Table:
    reasons = (
        (PROTOCOL_VERSION_NOT_SUPPORTED, "bit 0 of the protocol version is not set"),
        (APPLICATION_CONTEXT_NAME_NOT_SUPPORTED, "the application context is another one, or missing"),
        (CALLING_AE_TITLE_NOT_RECOGNISED, "calling AE title and source address match no entry"),
        (CALLED_AE_TITLE_NOT_RECOGNISED, "the called AE title is not that of the node"),
        (NO_REASON_GIVEN, f"the peer takes only PDUs of less than {PDU_LENGTH_MIN} bytes"),
        (LOCAL_LIMIT_EXCEEDED, "a limit on associations is reached"),
    )
    rows = tuple((str(one.result), str(one.source), str(one.reason), text) for one, text in reasons)
    return Table("Rejections (PS3.8 9.3.4)", ("Result", "Source", "Reason", "When"), rows)
