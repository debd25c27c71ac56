"""The statement for machines: the same tables as JSON values."""

from __future__ import annotations

from pydicom.uid import UID

from medserver import __version__, codecs
from medserver.config.options import OPTIONS
from medserver.conformance.matching_keys import acquisition_keys, kinds_of_matching, tag_text
from medserver.conformance.roles import ROLES, USED_ONLY
from medserver.dicom import status, uids
from medserver.dicom.attributes import ATTRIBUTES
from medserver.dicom.character_sets import SINGLE_BYTE_CHARACTER_SETS, UNICODE_UTF_8
from medserver.services.answer import DEFAULT_CHARACTER_SET
from medserver.services.registry import SERVICES, Service
from medserver.services.responses import STATUSES

USUAL_STATUSES = (
    status.SUCCESS,
    status.PENDING,
    status.PENDING_WARNING,
    status.CANCEL,
    status.SUBOPERATIONS_WARNING,
)
"""What is answered when there is no error."""


def facts() -> dict[str, object]:
    """Return everything that the tables say, as JSON can hold it."""
    return {
        "product": "medserver",
        "version": __version__,
        "implementation_class_uid": uids.IMPLEMENTATION_CLASS_UID,
        "implementation_version_name": uids.IMPLEMENTATION_VERSION_NAME,
        "services": [_service(service) for service in SERVICES],
        "used_only": [{"uid": uid, "name": UID(uid).name} for uid in USED_ONLY],
        "transfer_syntaxes": [
            {
                "uid": syntax.uid,
                "name": syntax.name,
                "lossy": syntax.lossy,
                "retired": syntax.retired,
                "converted_to": [*codecs.targets(syntax.uid), *codecs.compressions(syntax.uid)],
            }
            for syntax in uids.TRANSFER_SYNTAXES
        ],
        "keys": [
            {
                "keyword": row.keyword,
                "tag": tag_text(row.tag),
                "vr": row.vr,
                "level": row.level,
                "key_type": row.key_type,
                "matching": kinds_of_matching(row),
                "computed": row.computed,
            }
            for row in ATTRIBUTES
        ],
        "acquisition_keys": [
            {"keyword": key.keyword, "tag": tag_text(key.tag), "vr": key.vr, "unit": key.unit}
            for key in acquisition_keys()
        ],
        "statuses": [
            {"code": f"0x{code:04X}", "category": status.category(code), "meaning": meaning(code)}
            for code in status_codes()
        ],
        "character_sets": [DEFAULT_CHARACTER_SET, *_further_character_sets()],
        "options": [
            {
                "section": option.section,
                "name": option.name,
                "type": option.type.name,
                "default": option.default,
                "unit": option.unit,
                "help": option.help,
            }
            for option in OPTIONS
        ],
    }


def status_codes() -> tuple[int, ...]:
    """Return every status that the node answers, in ascending order."""
    return tuple(sorted({*USUAL_STATUSES, *STATUSES.values()}))


def meaning(code: int) -> str:
    """Return what a status means, without its code."""
    return status.describe(code).partition(" ")[2]


def _further_character_sets() -> list[str]:
    return [one for one in (*SINGLE_BYTE_CHARACTER_SETS, UNICODE_UTF_8) if one != DEFAULT_CHARACTER_SET]


def _service(service: Service) -> dict[str, object]:
    return {
        "name": service.name,
        "clause": service.clause,
        "right": service.right,
        "operations": [operation.name.replace("_", "-") for operation in service.operations],
        "sop_classes": [
            {"uid": role.uid, "name": role.name, "scu": role.as_scu, "scp": role.as_scp}
            for role in ROLES
            if role.service is service
        ],
        "transfer_syntaxes": list(service.transfer_syntaxes),
    }
