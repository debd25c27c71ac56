"""The table of outcomes is that of the standard, and each operation keeps to each of its rows."""

from __future__ import annotations

from itertools import product

import pytest

from medserver.dicom import status
from medserver.errors import WorkitemRefused
from medserver.node import Node
from medserver.services.responses import answer_to
from medserver.wire.command_set import CommandField
from medserver.workitems.outcomes import (
    CANCELED,
    COMPLETED,
    IN_PROGRESS,
    OPERATION_OF_STATE,
    OUTCOMES,
    SCHEDULED,
    STATES,
    TABLE,
    UNKNOWN,
    Given,
    Operation,
    Remark,
)
from medserver.workitems.states import change_state
from medserver.workitems.updating import update
from tests.workitems.samples import brought_to, performed

RIGHT, WRONG = "1.2.3.99", "1.2.3.98"

UIDS = {Given.RIGHT: RIGHT, Given.WRONG: WRONG, Given.MISSING: ""}

# PS3.4 table CC.1.1-2, by the state that is wanted, the state that is, and the Transaction UID: what is answered.
# Written down once more, by hand.
CODES = {
    (IN_PROGRESS, SCHEDULED): (0x0000, None, 0xC301),
    (IN_PROGRESS, IN_PROGRESS): (0xC302, 0xC301, 0xC301),
    (IN_PROGRESS, COMPLETED): (0xC300, 0xC301, 0xC301),
    (IN_PROGRESS, CANCELED): (0xC300, 0xC301, 0xC301),
    (SCHEDULED, SCHEDULED): (0xC303, None, 0xC303),
    (SCHEDULED, IN_PROGRESS): (0xC303, 0xC303, 0xC303),
    (SCHEDULED, COMPLETED): (0xC303, 0xC303, 0xC303),
    (SCHEDULED, CANCELED): (0xC303, 0xC303, 0xC303),
    (COMPLETED, SCHEDULED): (0xC310, None, 0xC301),
    (COMPLETED, IN_PROGRESS): (0x0000, 0xC301, 0xC301),
    (COMPLETED, COMPLETED): (0xB306, 0xC301, 0xC301),
    (COMPLETED, CANCELED): (0xC300, 0xC301, 0xC301),
    (CANCELED, SCHEDULED): (0xC310, None, 0xC301),
    (CANCELED, IN_PROGRESS): (0x0000, 0xC301, 0xC301),
    (CANCELED, COMPLETED): (0xC300, 0xC301, 0xC301),
    (CANCELED, CANCELED): (0xB304, 0xC301, 0xC301),
    ("update", SCHEDULED): (0xC310, None, 0x0000),
    ("update", IN_PROGRESS): (0x0000, 0xC301, 0xC301),
    ("update", COMPLETED): (0xC300, 0xC300, 0xC300),
    ("update", CANCELED): (0xC300, 0xC300, 0xC300),
    ("request cancel", SCHEDULED): (0x0000, None, 0x0000),
    ("request cancel", IN_PROGRESS): (0x0000, 0x0000, 0x0000),
    ("request cancel", COMPLETED): (0xC311, 0xC311, 0xC311),
    ("request cancel", CANCELED): (0xB304, 0xB304, 0xB304),
}
CELLS = [
    (wanted, state, given, code)
    for (wanted, state), codes in CODES.items()
    for given, code in zip(Given, codes, strict=True)
    if code is not None
]
OPERATIONS = OPERATION_OF_STATE | {"update": Operation.UPDATE, "request cancel": Operation.REQUEST_CANCEL}
FIELDS = {"update": CommandField.N_SET}
REMARKS = {
    Remark.ALREADY_CANCELED: status.WORKITEM_ALREADY_CANCELED,
    Remark.ALREADY_COMPLETED: status.WORKITEM_ALREADY_COMPLETED,
}


def code_of(outcome: object, field: CommandField) -> int:
    if outcome is None:
        return 0x0000
    return REMARKS[outcome] if isinstance(outcome, Remark) else answer_to(outcome(""), field).code


@pytest.mark.parametrize(("wanted", "state", "given", "code"), CELLS)
def test_the_table_is_that_of_the_standard(wanted: str, state: str, given: Given, code: int) -> None:
    outcome = OUTCOMES[TABLE[OPERATIONS[wanted], state, given]]
    assert f"{code_of(outcome, FIELDS.get(wanted, CommandField.N_ACTION)):04X}" == f"{code:04X}"


def test_the_table_is_whole() -> None:
    """No Transaction UID is wrong while there is none."""
    cells = set(product(Operation, (UNKNOWN, *STATES), Given)) - set(product(Operation, [SCHEDULED], [Given.WRONG]))
    assert TABLE.keys() == cells
    assert {TABLE[cell] for cell in cells} == OUTCOMES.keys()
    assert {TABLE[cell] for cell in cells if cell[1] == UNKNOWN} == {"no_such"}


@pytest.mark.parametrize(("wanted", "state", "given", "code"), [cell for cell in CELLS if cell[0] != "request cancel"])
def test_each_operation_keeps_to_its_row(node: Node, wanted: str, state: str, given: Given, code: int) -> None:
    brought_to(node, "1.2.3", state, RIGHT)
    before = node.index.workitems.get("1.2.3")
    if wanted == COMPLETED and state == IN_PROGRESS:
        update(node, "1.2.3", performed(), RIGHT)
        before = node.index.workitems.get("1.2.3")
    try:
        if wanted == "update":
            outcome = update(node, "1.2.3", performed(), UIDS[given]) or None
        else:
            outcome = change_state(node, "1.2.3", wanted, UIDS[given], "AI1")
    except WorkitemRefused as error:
        outcome = type(error)
    assert code_of(outcome, FIELDS.get(wanted, CommandField.N_ACTION)) == code
    after = node.index.workitems.get("1.2.3")
    if code:
        assert after == before
    else:
        assert (after.state, after.revision) == (state if wanted == "update" else wanted, before.revision + 1)
        assert (after.ended_at is not None) == (after.state in (COMPLETED, CANCELED))


@pytest.mark.parametrize("wanted", [*OPERATION_OF_STATE, "update"])
def test_an_item_that_is_not_there(node: Node, wanted: str) -> None:
    with pytest.raises(WorkitemRefused) as refused:
        if wanted == "update":
            update(node, "1.2.3", performed(), RIGHT)
        else:
            change_state(node, "1.2.3", wanted, RIGHT, "AI1")
    assert answer_to(refused.value, FIELDS.get(wanted, CommandField.N_ACTION)).code == 0xC307
