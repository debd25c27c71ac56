"""Which network services the node offers and uses: the tables of roles, SOP classes and transfer syntaxes.

What is offered is read from `services.registry`, what is used from `scu`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import UID

from medserver import codecs
from medserver.conformance.document import Table
from medserver.dicom import uids
from medserver.dicom.non_patient import NON_PATIENT_MODELS
from medserver.services.registry import SERVICES, STORAGE, UNCOMPRESSED, Service

YES, NO = "Y", "N"

USED_SOP_CLASSES: frozenset[str] = frozenset({
    uids.VERIFICATION,
    uids.STORAGE_COMMITMENT_PUSH_MODEL,
    uids.PATIENT_ROOT_FIND,
    uids.PATIENT_ROOT_MOVE,
    uids.PATIENT_ROOT_GET,
    uids.STUDY_ROOT_FIND,
    uids.STUDY_ROOT_MOVE,
    uids.STUDY_ROOT_GET,
    uids.PATIENT_STUDY_ONLY_FIND,
    uids.PATIENT_STUDY_ONLY_MOVE,
    uids.PATIENT_STUDY_ONLY_GET,
    uids.MODALITY_PERFORMED_PROCEDURE_STEP,
    uids.INSTANCE_AVAILABILITY_NOTIFICATION,
    uids.UNIFIED_PROCEDURE_STEP_PUSH,
    uids.UNIFIED_PROCEDURE_STEP_PULL,
    uids.UNIFIED_PROCEDURE_STEP_WATCH,
    uids.UNIFIED_PROCEDURE_STEP_EVENT,
    *(uid for model in NON_PATIENT_MODELS for uid in (model.find, model.move, model.get)),
    *uids.STORAGE_SOP_CLASSES,
})
"""The SOP classes that are used: by the node for C-MOVE and by the rules of the configuration, and by commands."""

USED_ONLY: tuple[str, ...] = (uids.INSTANCE_AVAILABILITY_NOTIFICATION,)
"""Those of them that are not offered."""


@dataclass(frozen=True)
class Role:
    """One SOP class and what the node is in it.

    Parameters
    ----------
    service : Service
        Its service.
    uid, name : str
        The SOP class.
    """

    service: Service
    uid: str
    name: str

    @property
    def as_scu(self) -> bool:
        """Whether it is used."""
        return self.uid in USED_SOP_CLASSES

    @property
    def as_scp(self) -> bool:
        """Whether it is offered: all are."""
        return True

    def row(self) -> tuple[str, ...]:
        """Return name, UID, SCU and SCP as cells."""
        return self.name, self.uid, yes_or_no(self.as_scu), yes_or_no(self.as_scp)


ROLES: tuple[Role, ...] = tuple(
    Role(service, uid, name) for service in SERVICES for uid, name in service.sop_classes.items()
)
"""Every SOP class of every service, in the order of the registry."""


def yes_or_no(condition: bool) -> str:
    """Return ``Y`` or ``N``."""
    return YES if condition else NO


def operations_of(service: Service) -> str:
    """Return the DIMSE operations of a service, for people."""
    return ", ".join(service.operation_names)


def services_table() -> Table:
    """Return one row for each service."""
    rows = [
        (
            service.name,
            operations_of(service),
            yes_or_no(any(role.as_scu for role in ROLES if role.service is service)),
            YES,
            service.clause,
            service.right,
        )
        for service in SERVICES
    ]
    header = ("Service", "Operations", "SCU", "SCP", "Standard", "Right in [ae NAME]")
    return Table("Network services", header, tuple(rows))


def sop_classes_table(title: str, *services: Service) -> Table:
    """Return one row for each SOP class of some services."""
    rows = tuple(role.row() for role in ROLES if role.service in services)
    return Table(title, ("SOP class", "UID", "SCU", "SCP"), rows)


def other_sop_classes_table() -> Table:
    """Return one row for each SOP class outside storage, those that are only used included."""
    others = sop_classes_table(
        "SOP classes of the other services", *(one for one in SERVICES if one is not STORAGE)
    )
    used = tuple((UID(uid).name, uid, YES, NO) for uid in USED_ONLY)
    return Table(others.title, others.header, (*others.rows, *used))


def transfer_syntaxes_table() -> Table:
    """Return one row for each transfer syntax: in what it is received, kept, sent and converted."""
    others = {uid for service in SERVICES if service is not STORAGE for uid in service.transfer_syntaxes}
    rows = []
    for syntax in uids.TRANSFER_SYNTAXES:
        possible = (*codecs.targets(syntax.uid), *codecs.compressions(syntax.uid))
        targets = [UID(uid).name for uid in possible]
        rows.append((
            syntax.name + (" (retired)" if syntax.retired else ""),
            syntax.uid,
            yes_or_no(syntax.uid in STORAGE.transfer_syntaxes),
            yes_or_no(syntax.uid in others),
            "; ".join(targets) or "none",
        ))
    header = ("Transfer syntax", "UID", "Storage, as received", "Other services", "Can be converted to")
    return Table("Transfer syntaxes", header, tuple(rows))


def other_syntaxes() -> str:
    """Return the names of the transfer syntaxes of everything but storage."""
    return ", ".join(UID(uid).name for uid in UNCOMPRESSED)
