"""The services that the node offers: one row a service, from which everything else is read.

Negotiation, dispatch and the conformance statement read `SERVICES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pydicom.uid import UID

from medserver.dicom import print_classes, uids
from medserver.dicom.non_patient import NON_PATIENT_MODELS
from medserver.identity.principal import Principal
from medserver.services import (
    commitment,
    performed_step,
    query,
    retrieve,
    storage,
    verification,
    workitem,
    workitem_query,
)
from medserver.services.printing import management
from medserver.services.request import Handler
from medserver.services.responses import operation_name
from medserver.wire.command_set import CommandField

UNCOMPRESSED = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.EXPLICIT_VR_BIG_ENDIAN)
"""What commands with an identifier travel in; data sets of that size gain nothing from more."""


@dataclass(frozen=True)
class Service:
    """One service class in the SCP role.

    Attributes
    ----------
    name : str
        The service class.
    clause : str
        Where the standard defines it.
    right : str
        What an AE's `allow` must list.
    sop_classes : mapping of str to str
        UIDs and names.
    operations : mapping of CommandField to handler
        What the requestor of an association can ask for as the SCU.
    transfer_syntaxes : tuple of str
        What is accepted.
    reverse_right : str
        What an AE's `allow` must list so that it may be the SCP on an association that it opens; empty if none may.
    reverse_operations : mapping of CommandField to handler
        What it can invoke then.
    command_sop_class_uid : str
        What commands name, whichever of the SOP classes their presentation context is of; empty: that one.
    meta_sop_classes : mapping of str to frozenset of str
        Meta SOP classes, and the SOP classes that commands in their presentation contexts name.
    """

    name: str
    clause: str
    right: str
    sop_classes: Mapping[str, str]
    operations: Mapping[CommandField, Handler]
    transfer_syntaxes: tuple[str, ...]
    reverse_right: str = ""
    reverse_operations: Mapping[CommandField, Handler] = field(default_factory=dict)
    command_sop_class_uid: str = ""
    meta_sop_classes: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def operation_names(self) -> tuple[str, ...]:
        """The DIMSE operations that the node performs, in either role."""
        return tuple(operation_name(one) for one in (*self.operations, *self.reverse_operations))

    def roles_of(self, principal: Principal, sop_class_uid: str) -> tuple[bool, bool]:
        """Return whether a requestor may be the SCU, and the SCP, of one of the SOP classes.

        A private one may be received by whoever may get, and stored by whom its entry names.
        """
        is_allowed = sop_class_uid in self.sop_classes or sop_class_uid in principal.remote.private_sop_classes
        may_provide = bool(self.reverse_right) and principal.permits(self.reverse_right)
        return is_allowed and principal.permits(self.right), may_provide


def _names(*sop_class_uids: str) -> Mapping[str, str]:
    return MappingProxyType({uid: UID(uid).name for uid in sop_class_uids})


ALL_TRANSFER_SYNTAXES = tuple(syntax.uid for syntax in uids.TRANSFER_SYNTAXES)

STORAGE = Service(
    "Storage",
    "PS3.4 B",
    "store",
    uids.STORAGE_SOP_CLASSES,
    {CommandField.C_STORE: storage.store},
    ALL_TRANSFER_SYNTAXES,
    reverse_right="get",
)

_PRINT_OPERATIONS = dict.fromkeys(
    (
        CommandField.N_CREATE, CommandField.N_SET, CommandField.N_DELETE, CommandField.N_ACTION, CommandField.N_GET,
    ),
    management.perform,
)  # fmt: skip

SERVICES: tuple[Service, ...] = (
    Service(
        "Verification",
        "PS3.4 A",
        "echo",
        _names(uids.VERIFICATION),
        {CommandField.C_ECHO: verification.echo},
        UNCOMPRESSED,
    ),
    STORAGE,
    Service(
        "Query/Retrieve - FIND",
        "PS3.4 C.4.1",
        "find",
        _names(uids.PATIENT_ROOT_FIND, uids.STUDY_ROOT_FIND, uids.PATIENT_STUDY_ONLY_FIND),
        {CommandField.C_FIND: query.find},
        UNCOMPRESSED,
    ),
    Service(
        "Query/Retrieve - MOVE",
        "PS3.4 C.4.2, Y",
        "move",
        _names(
            uids.PATIENT_ROOT_MOVE,
            uids.STUDY_ROOT_MOVE,
            uids.PATIENT_STUDY_ONLY_MOVE,
            uids.COMPOSITE_INSTANCE_ROOT_RETRIEVE_MOVE,
        ),
        {CommandField.C_MOVE: retrieve.move},
        UNCOMPRESSED,
    ),
    Service(
        "Query/Retrieve - GET",
        "PS3.4 C.4.3, Y, Z",
        "get",
        _names(
            uids.PATIENT_ROOT_GET,
            uids.STUDY_ROOT_GET,
            uids.PATIENT_STUDY_ONLY_GET,
            uids.COMPOSITE_INSTANCE_ROOT_RETRIEVE_GET,
            uids.COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET,
        ),
        {CommandField.C_GET: retrieve.get},
        UNCOMPRESSED,
    ),
    Service(
        "Non-patient objects - FIND",
        "PS3.4 U, X, BB, HH, II",
        "find",
        _names(*(model.find for model in NON_PATIENT_MODELS)),
        {CommandField.C_FIND: query.find},
        UNCOMPRESSED,
    ),
    Service(
        "Non-patient objects - MOVE",
        "PS3.4 U, X, BB, HH, II",
        "move",
        _names(*(model.move for model in NON_PATIENT_MODELS)),
        {CommandField.C_MOVE: retrieve.move},
        UNCOMPRESSED,
    ),
    Service(
        "Non-patient objects - GET",
        "PS3.4 U, X, BB, HH, II",
        "get",
        _names(*(model.get for model in NON_PATIENT_MODELS)),
        {CommandField.C_GET: retrieve.get},
        UNCOMPRESSED,
    ),
    Service(
        "Storage Commitment",
        "PS3.4 J",
        "commit",
        _names(uids.STORAGE_COMMITMENT_PUSH_MODEL),
        {CommandField.N_ACTION: commitment.request_commitment},
        UNCOMPRESSED,
        reverse_right="commit",
        reverse_operations={CommandField.N_EVENT_REPORT: commitment.receive_report},
    ),
    Service(
        "Modality Performed Procedure Step",
        "PS3.4 F.7",
        "mpps",
        _names(uids.MODALITY_PERFORMED_PROCEDURE_STEP),
        {CommandField.N_CREATE: performed_step.create, CommandField.N_SET: performed_step.modify},
        UNCOMPRESSED,
    ),
    Service(
        "Modality Performed Procedure Step Retrieve",
        "PS3.4 F.8",
        "mpps",
        _names(uids.MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE),
        {CommandField.N_GET: performed_step.retrieve},
        UNCOMPRESSED,
    ),
    # Every instance is one of Push, and commands name that, whichever class was negotiated (PS3.4 CC.3.1).
    Service(
        "Unified Procedure Step - Push",
        "PS3.4 CC",
        "process",
        _names(uids.UNIFIED_PROCEDURE_STEP_PUSH),
        {
            CommandField.N_CREATE: workitem.create,
            CommandField.N_ACTION: workitem.act,
            CommandField.N_GET: workitem.retrieve,
        },
        UNCOMPRESSED,
    ),
    Service(
        "Unified Procedure Step - Pull",
        "PS3.4 CC",
        "process",
        _names(uids.UNIFIED_PROCEDURE_STEP_PULL),
        {
            CommandField.C_FIND: workitem_query.find,
            CommandField.N_GET: workitem.retrieve,
            CommandField.N_SET: workitem.modify,
            CommandField.N_ACTION: workitem.act,
        },
        UNCOMPRESSED,
        command_sop_class_uid=uids.UNIFIED_PROCEDURE_STEP_PUSH,
    ),
    Service(
        "Unified Procedure Step - Watch",
        "PS3.4 CC",
        "process",
        _names(uids.UNIFIED_PROCEDURE_STEP_WATCH),
        {
            CommandField.C_FIND: workitem_query.find,
            CommandField.N_GET: workitem.retrieve,
            CommandField.N_ACTION: workitem.act,
        },
        UNCOMPRESSED,
        command_sop_class_uid=uids.UNIFIED_PROCEDURE_STEP_PUSH,
    ),
    Service(
        "Unified Procedure Step - Query",
        "PS3.4 CC",
        "process",
        _names(uids.UNIFIED_PROCEDURE_STEP_QUERY),
        {CommandField.C_FIND: workitem_query.find, CommandField.N_GET: workitem.retrieve},
        UNCOMPRESSED,
        command_sop_class_uid=uids.UNIFIED_PROCEDURE_STEP_PUSH,
    ),
    Service(
        "Unified Procedure Step - Event",
        "PS3.4 CC",
        "process",
        _names(uids.UNIFIED_PROCEDURE_STEP_EVENT),
        {},
        UNCOMPRESSED,
        reverse_right="process",
        reverse_operations={CommandField.N_EVENT_REPORT: workitem.receive_event},
        command_sop_class_uid=uids.UNIFIED_PROCEDURE_STEP_PUSH,
    ),
    Service(
        "Print Management",
        "PS3.4 H",
        "print",
        _names(*print_classes.META_SOP_CLASSES, *print_classes.SINGLE_SOP_CLASSES),
        _PRINT_OPERATIONS,
        UNCOMPRESSED,
        meta_sop_classes=print_classes.META_SOP_CLASSES,
    ),
)

_BY_SOP_CLASS = {uid: service for service in SERVICES for uid in service.sop_classes}


def service_for(sop_class_uid: str, private_sop_classes: tuple[str, ...] = ()) -> Service | None:
    """Return the service of a SOP class.

    Private ones are of Storage, whoever has stored something of them, and so are others that an AE's entry names.
    """
    service = _BY_SOP_CLASS.get(sop_class_uid)
    if service is None and (sop_class_uid in private_sop_classes or uids.is_private_uid(sop_class_uid)):
        return STORAGE
    return service


def services_of(right: str) -> list[str]:
    """Return the names of the services that a right opens."""
    return [service.name for service in SERVICES if right in (service.right, service.reverse_right)]
