from __future__ import annotations

import pytest
from pynetdicom.status import (
    GENERAL_STATUS,
    PRINT_JOB_MANAGEMENT_SERVICE_CLASS_STATUS,
    QR_FIND_SERVICE_CLASS_STATUS,
    QR_GET_SERVICE_CLASS_STATUS,
    QR_MOVE_SERVICE_CLASS_STATUS,
    STORAGE_SERVICE_CLASS_STATUS,
    UNIFIED_PROCEDURE_STEP_SERVICE_CLASS_STATUS,
)

from medserver.dicom import status

KNOWN = (
    STORAGE_SERVICE_CLASS_STATUS
    | QR_FIND_SERVICE_CLASS_STATUS
    | QR_MOVE_SERVICE_CLASS_STATUS
    | QR_GET_SERVICE_CLASS_STATUS
    | PRINT_JOB_MANAGEMENT_SERVICE_CLASS_STATUS
)
FAILURE_REASONS = {0x0131}  # PS3.3 C.14.1.1: no response has it, and pynetdicom does not know it
OF_FRAMES = range(0xAA00, 0xAA05)  # PS3.4 Y.4.1.3, Y.4.2.1.3: pynetdicom does not know them
NAMED = {name: code for name, code in vars(status).items() if name.isupper() and isinstance(code, int)}


def test_categories_agree_with_pynetdicom():
    assert {code: status.category(code) for code in KNOWN} == {
        code: kind.lower() for code, (kind, _) in KNOWN.items()
    }


def test_predicates_follow_the_category():
    for code in KNOWN:
        kinds = {"pending": status.is_pending, "warning": status.is_warning, "failure": status.is_failure}
        assert [name for name, holds in kinds.items() if holds(code)] == (
            [status.category(code)] if status.category(code) in kinds else []
        )


@pytest.mark.parametrize("code", [0x0002, 0x1234, 0x9000, 0xD000, 0xFF02, 0xFFFF])
def test_undefined_code_is_a_failure(code):
    assert status.is_failure(code)
    assert status.describe(code) == f"0x{code:04X} a status that DICOM does not define"


def test_every_named_code_is_defined_and_described():
    assert NAMED
    for code in NAMED.values():
        is_of_workitems = code in UNIFIED_PROCEDURE_STEP_SERVICE_CLASS_STATUS
        assert code in KNOWN or is_of_workitems or code in FAILURE_REASONS or code in OF_FRAMES
        assert "does not define" not in status.describe(code)


def test_every_general_code_has_a_name():
    assert GENERAL_STATUS.keys() <= set(NAMED.values())


@pytest.mark.parametrize("code, text", [
    (0x0000, "0x0000 success"),
    (0xA700, "0xA700 out of resources"),
    (0xA7FE, "0xA7FE out of resources"),
    (0xA702, "0xA702 out of resources: sub-operations cannot be performed"),
    (0xA9F0, "0xA9F0 the data set does not match the SOP class"),
    (0xC211, "0xC211 cannot understand or process"),
    (0xFF01, "0xFF01 pending, optional keys are not supported"),
])
def test_description(code, text):
    assert status.describe(code) == text
