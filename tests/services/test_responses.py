"""Every error has its DIMSE status."""

from __future__ import annotations

import pytest

from medserver import errors
from medserver.dicom import status
from medserver.services.responses import STATUSES, status_of

CLASSES = [
    one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.MedserverError)
]


@pytest.mark.parametrize("error_class", CLASSES, ids=lambda one: one.__name__)
def test_every_class_has_a_row_or_that_of_its_parent(error_class):
    rows = [one for one in error_class.__mro__ if one in STATUSES]
    assert rows or error_class is errors.MedserverError


def test_no_error_becomes_a_success():
    assert all(status.is_failure(code) for code in STATUSES.values())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.OutOfResources("full"), 0xA700),
        (errors.CannotUnderstand("what"), 0xC000),
        (errors.DataSetMismatch("other"), 0xA900),
        (errors.NotAuthorised("no"), 0x0124),
        (errors.UnknownMoveDestination("who"), 0xA801),
        (errors.IndexFailure("broken"), 0x0110),
        (errors.IndexUnavailable("away"), 0xA700),
        (errors.UnknownOutcome("away"), 0xA700),
        (errors.DamagedObject("broken"), 0x0110),
        (errors.AssociationAborted("gone"), 0x0110),
    ],
)
def test_the_codes_are_those_of_the_standard(error, code):
    assert status_of(error) == code


def test_normalised_services_have_a_status_of_their_own_for_want_of_resources():
    assert status_of(errors.IndexUnavailable("away"), normalised=True) == 0x0213
    assert status_of(errors.OutOfResources("full"), normalised=True) == 0x0213
    assert status_of(errors.NoLongerUpdatable("final"), normalised=True) == 0x0110
