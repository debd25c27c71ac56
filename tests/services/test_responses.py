"""One table says what is answered: every error has its status in every operation, and nothing else is answered."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import medserver
import pytest

from medserver import errors
from medserver.dicom import status
from medserver.scu.counts import Counts
from medserver.services.dispatch import Responder
from medserver.services.registry import SERVICES
from medserver.services.request import Response
from medserver.services.responses import ANSWERS, answer_to, is_stated
from medserver.wire.command_set import CommandField
from medserver.wire.message import Message

C_STORE, C_FIND, C_GET, C_MOVE = CommandField.C_STORE, CommandField.C_FIND, CommandField.C_GET, CommandField.C_MOVE
N_CREATE, N_SET, N_GET = CommandField.N_CREATE, CommandField.N_SET, CommandField.N_GET
N_ACTION, N_EVENT_REPORT, N_DELETE = CommandField.N_ACTION, CommandField.N_EVENT_REPORT, CommandField.N_DELETE

CLASSES = [
    one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.MedserverError)
]
PERFORMED = {field for service in SERVICES for field in (*service.operations, *service.reverse_operations)}
UNKNOWN_OPERATION = 0x0999

# PS3.7 10.1.1.1.8, 10.1.2.1.9, 10.1.3.1.9, 10.1.4.1.10, 10.1.5.1.6: what a normalised operation can be answered with.
_GENERAL = {0x0000, 0x0110, 0x0118, 0x0124, 0x0210, 0x0211, 0x0212, 0x0213}
# PS3.4 tables CC.2.1-2, CC.2.2-2, CC.2.3-3, CC.2.5-4, CC.2.6-1, CC.2.7-1: of work items.
_OF_WORKITEMS = {
    N_GET: {0x0001, 0xC307},
    N_SET: {0x0001, 0xB305, 0xC300, 0xC301, 0xC307, 0xC310},
    N_ACTION: {
        0xB301, 0xB304, 0xB306, 0xC300, 0xC301, 0xC302, 0xC303, 0xC304, 0xC307, 0xC308, 0xC310, 0xC311, 0xC312, 0xC313,
        0xC314, 0xC315,
    },
    N_CREATE: {0xB300, 0xC309},
}  # fmt: skip
# PS3.4 H.4.1.2, H.4.2.2, H.4.3.1.2.1.2: of print management.
_OF_PRINTING = {
    N_CREATE: {0xB600, 0xB605, 0xC616},
    N_SET: {0xB600, 0xB604, 0xB605, 0xB609, 0xB60A, 0xC603, 0xC605, 0xC613},
    N_ACTION: {0xB601, 0xB602, 0xB603, 0xB604, 0xB609, 0xB60A, 0xC600, 0xC601, 0xC602, 0xC603, 0xC613},
}
OF_THE_STANDARD = {
    N_EVENT_REPORT: _GENERAL | {0x0112, 0x0113, 0x0114, 0x0115, 0x0117, 0x0119},
    N_GET: _GENERAL | {0x0107, 0x0112, 0x0117, 0x0119},
    N_SET: _GENERAL | {0x0105, 0x0106, 0x0107, 0x0112, 0x0116, 0x0117, 0x0119, 0x0121},
    N_ACTION: _GENERAL | {0x0112, 0x0114, 0x0115, 0x0117, 0x0119, 0x0123},
    N_DELETE: _GENERAL | {0x0112, 0x0117, 0x0119},
    N_CREATE: _GENERAL | {0x0105, 0x0106, 0x0107, 0x0111, 0x0116, 0x0117, 0x0120, 0x0121},
}


@pytest.mark.parametrize("error_class", CLASSES, ids=lambda one: one.__name__)
def test_every_error_is_a_failure_that_is_stated(error_class: type[errors.MedserverError]) -> None:
    error = error_class("what was wrong") if error_class is not errors.AssociationRejected else error_class(1, 1, 1, "")
    for field in (*CommandField, UNKNOWN_OPERATION):
        answer = answer_to(error, field)
        assert status.is_failure(answer.code)
        assert is_stated(answer.code, field)


def test_one_row_is_the_closest() -> None:
    for field in CommandField:
        stated = [error for answer in ANSWERS if answer.is_for(field) for error in answer.errors]
        assert len(stated) == len(set(stated)), field.name


def test_the_rows_are_in_order_and_of_operations_that_are_performed() -> None:
    codes = [answer.code for answer in ANSWERS]
    assert codes == sorted(codes)
    for answer in ANSWERS:
        assert answer.operations <= PERFORMED
        assert answer.when


@pytest.mark.parametrize("field", OF_THE_STANDARD, ids=lambda one: one.name)
def test_normalised_operations_have_the_statuses_of_the_standard(field: CommandField) -> None:
    stated = {answer.code for answer in ANSWERS if answer.is_for(field)}
    assert stated <= OF_THE_STANDARD[field] | _OF_WORKITEMS.get(field, set()) | _OF_PRINTING.get(field, set())
    assert {answer_to(error_class("x"), field).code for error_class in CLASSES
            if error_class is not errors.AssociationRejected} <= stated  # fmt: skip


@pytest.mark.parametrize(
    ("error", "field", "code"),
    [
        (errors.OutOfResources("full"), C_STORE, 0xA700),
        (errors.CannotUnderstand("what"), C_STORE, 0xC000),
        (errors.DataSetTooLarge("much"), C_FIND, 0xC000),
        (errors.DataSetMismatch("other"), C_STORE, 0xA900),
        (errors.IdentifierMismatch("other"), C_FIND, 0xA900),
        (errors.NotAuthorised("no"), C_STORE, 0x0124),
        (errors.NotAuthorised("no"), UNKNOWN_OPERATION, 0x0124),
        (errors.SOPClassNotSupported("no"), C_MOVE, 0x0122),
        (errors.UnknownMoveDestination("who"), C_MOVE, 0xA801),
        (errors.IndexFailure("broken"), C_FIND, 0x0110),
        (errors.IndexUnavailable("away"), C_FIND, 0xA700),
        (errors.UnknownOutcome("away"), C_STORE, 0xA700),
        (errors.CannotCountMatches("away"), C_GET, 0xA701),
        (errors.DamagedObject("broken"), C_STORE, 0x0110),
        (errors.AssociationAborted("gone"), C_GET, 0x0110),
        (errors.CannotUnderstand("what"), N_SET, 0x0110),
        (errors.DataSetTooLarge("much"), N_SET, 0x0213),
        (errors.IndexUnavailable("away"), N_ACTION, 0x0213),
        (errors.OutOfResources("full"), N_CREATE, 0x0213),
        (errors.SOPClassNotSupported("no"), N_GET, 0x0118),
        (errors.MissingAttribute("Modality"), N_CREATE, 0x0120),
        (errors.MissingAttributeValue("Modality"), N_CREATE, 0x0121),
        (errors.MissingAttribute("End Date"), N_SET, 0x0121),
        (errors.InvalidArgument("odd"), N_ACTION, 0x0115),
        (errors.InvalidArgument("odd"), N_GET, 0x0212),
        (errors.NoSuchWorkitem("none"), N_GET, 0xC307),
        (errors.NotScheduled("begun"), N_CREATE, 0xC309),
        (errors.WrongTransactionUID("other"), N_SET, 0xC301),
        (errors.PerformerUnreachable("nobody"), N_ACTION, 0xC312),
    ],
)
def test_the_codes_are_those_of_the_standard(error: errors.MedserverError, field: int, code: int) -> None:
    assert answer_to(error, field).code == code


@pytest.mark.parametrize(
    ("module", "field"),
    [
        ("scu/received.py", C_STORE),  # the sub-operations of a C-GET of ours
        ("scu/retrieve.py", C_STORE),
        ("scu/commitment.py", N_EVENT_REPORT),  # the reports on what we have asked
        ("commitment/asking.py", N_EVENT_REPORT),
        ("services/commitment.py", N_ACTION),
        ("services/performed_step.py", N_SET),
        ("services/suboperations.py", C_MOVE),
        ("services/suboperations.py", C_GET),
        ("services/query.py", C_FIND),
    ],
)
def test_what_is_answered_without_an_error_is_stated(module: str, field: CommandField) -> None:
    tree = ast.parse((Path(medserver.__file__).parent / module).read_text())
    names = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "status"
    }
    codes = {getattr(status, name) for name in names if name.isupper()}
    assert codes
    assert [f"{code:04X}" for code in codes if not is_stated(code, field)] == []


@pytest.mark.parametrize(("field", "code"), [(C_STORE, 0x0107), (N_SET, 0xC000), (C_FIND, 0xA702), (N_CREATE, 0x0001)])
def test_what_is_not_stated_is_not_sent(field: CommandField, code: int) -> None:
    """It is a mistake of ours: the dispatch answers 0110, and its log has the traceback."""
    message = Message(1, {"CommandField": field, "MessageID": 1}, lambda: None)
    responder = Responder(SimpleNamespace(), message, Counts())  # no connection: nothing may be sent
    with pytest.raises(LookupError, match=f"status {code:04X} of {field.name.replace('_', '-')} is not in the table"):
        responder.send_last(Response(code))
    assert is_stated(status.PROCESSING_FAILURE, field)


def test_a_final_step_has_its_error_id() -> None:
    answer = answer_to(errors.NoLongerUpdatable("final"), N_SET)
    assert (answer.code, answer.error_id) == (0x0110, 0xA710)
