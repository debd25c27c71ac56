"""The statement for machines: the same tables as JSON values."""

from __future__ import annotations

from dataclasses import asdict

from pydicom.uid import UID

from medserver import __version__, codecs
from medserver.codecs.table import CODECS, Codec
from medserver.config.options import OPTIONS
from medserver.conformance.matching_keys import acquisition_keys, kinds_of_matching, tag_text
from medserver.conformance.roles import ROLES, USED_ONLY
from medserver.dicom import status, uids
from medserver.dicom.attributes import ATTRIBUTES
from medserver.dicom.character_sets import SINGLE_BYTE_CHARACTER_SETS, UNICODE_UTF_8
from medserver.services.answer import DEFAULT_CHARACTER_SET
from medserver.services.registry import SERVICES, Service
from medserver.services.responses import ANSWERS, Answer, operation_name


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
        "codecs": [_codec(codec) for codec in CODECS],
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
        "statuses": [_answer(answer) for answer in ANSWERS],
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
        "operations": list(service.operation_names),
        "sop_classes": [
            {"uid": role.uid, "name": role.name, "scu": role.as_scu, "scp": role.as_scp}
            for role in ROLES
            if role.service is service
        ],
        "transfer_syntaxes": list(service.transfer_syntaxes),
    }


def _codec(codec: Codec) -> dict[str, object]:
    return {
        "transfer_syntax": codec.uid,
        "decoder": codec.decoder.library.distribution,
        "encoders": [encoder.library.distribution for encoder in codec.encoders],
        "encoded": [
            {
                "photometric_interpretations": list(form.interpretations),
                "unsigned": [asdict(bits) for bits in form.unsigned],
                "signed": [asdict(bits) for bits in form.signed],
                "encoded_as": form.encoded_as or None,
            }
            for form in codec.forms
        ],
    }


def _answer(answer: Answer) -> dict[str, object]:
    return {
        "code": f"0x{answer.code:04X}",
        "category": status.category(answer.code),
        "meaning": meaning(answer.code),
        "operations": [operation_name(one) for one in sorted(answer.operations)] or None,
        "when": answer.when,
        "error_id": answer.error_id and f"0x{answer.error_id:04X}",
    }
