"""The state machine of the upper layer protocol as PS3.8 9.2 has it, written down from the standard.

`ACTIONS` is what tables 9-6 to 9-9 say of each action, `TRANSITIONS` is table 9-10. They were written before
`medserver.wire.state_machine`, which is compared with them and with pynetdicom's.
"""

from __future__ import annotations

from dataclasses import dataclass

EVENTS = tuple(f"Evt{number}" for number in range(1, 20))
STATES = tuple(f"Sta{number}" for number in range(1, 14))

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA_TF, RELEASE_RQ, RELEASE_RP, A_ABORT = range(1, 8)


@dataclass(frozen=True)
class Action:
    """What an action does.

    Attributes
    ----------
    next_state : str
        The state behind it.
    sends : int or None
        The type of the PDU that it sends.
    indicates : str or None
        The primitive that it issues to the service user.
    closes : bool
        Whether it closes the transport connection.
    timer : bool or None
        True if it starts the ARTIM timer, False if it stops it.
    """

    next_state: str
    sends: int | None = None
    indicates: str | None = None
    closes: bool = False
    timer: bool | None = None


ACTIONS = {
    "AE-1": Action("Sta4"),
    "AE-2": Action("Sta5", ASSOCIATE_RQ),
    "AE-3": Action("Sta6", indicates="A_ASSOCIATE"),
    "AE-4": Action("Sta1", indicates="A_ASSOCIATE", closes=True),
    "AE-5": Action("Sta2", timer=True),
    "AE-6": Action("Sta3", indicates="AssociationRequest", timer=False),
    "AE-7": Action("Sta6", ASSOCIATE_AC),
    "AE-8": Action("Sta13", ASSOCIATE_RJ, timer=True),
    "DT-1": Action("Sta6", P_DATA_TF),
    "DT-2": Action("Sta6"),  # the P-DATA indication goes to the reader of messages, not to a queue
    "AR-1": Action("Sta7", RELEASE_RQ),
    "AR-2": Action("Sta8", indicates="A_RELEASE"),
    "AR-3": Action("Sta1", indicates="A_RELEASE", closes=True),
    "AR-4": Action("Sta13", RELEASE_RP, timer=True),
    "AR-5": Action("Sta1", closes=True, timer=False),
    "AR-6": Action("Sta7"),
    "AR-7": Action("Sta8", P_DATA_TF),
    "AR-8": Action("Sta9", indicates="A_RELEASE"),  # of the requestor; the acceptor goes to Sta10
    "AR-9": Action("Sta11", RELEASE_RP),
    "AR-10": Action("Sta12", indicates="A_RELEASE"),
    "AA-1": Action("Sta13", A_ABORT, timer=True),
    "AA-2": Action("Sta1", closes=True, timer=False),
    "AA-3": Action("Sta1", indicates="A_ABORT", closes=True),
    "AA-4": Action("Sta1", indicates="A_P_ABORT", closes=True),
    "AA-5": Action("Sta1", closes=True, timer=False),
    "AA-6": Action("Sta13"),
    "AA-7": Action("Sta13", A_ABORT),
    "AA-8": Action("Sta13", A_ABORT, indicates="A_P_ABORT", timer=True),
}

_TABLE = """
        Sta1  Sta2  Sta3  Sta4  Sta5  Sta6  Sta7  Sta8  Sta9  Sta10 Sta11 Sta12 Sta13
Evt1    AE-1  -     -     -     -     -     -     -     -     -     -     -     -
Evt2    -     -     -     AE-2  -     -     -     -     -     -     -     -     -
Evt3    -     AA-1  AA-8  -     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt4    -     AA-1  AA-8  -     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt5    AE-5  -     -     -     -     -     -     -     -     -     -     -     -
Evt6    -     AE-6  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
Evt7    -     -     AE-7  -     -     -     -     -     -     -     -     -     -
Evt8    -     -     AE-8  -     -     -     -     -     -     -     -     -     -
Evt9    -     -     -     -     -     DT-1  -     AR-7  -     -     -     -     -
Evt10   -     AA-1  AA-8  -     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt11   -     -     -     -     -     AR-1  -     -     -     -     -     -     -
Evt12   -     AA-1  AA-8  -     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt13   -     AA-1  AA-8  -     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
Evt14   -     -     -     -     -     -     -     AR-4  AR-9  -     -     AR-4  -
Evt15   -     -     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  -
Evt16   -     AA-2  AA-3  -     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
Evt17   -     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
Evt18   -     AA-2  -     -     -     -     -     -     -     -     -     -     AA-2
Evt19   -     AA-1  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""


def _transitions() -> dict[tuple[str, str], str]:
    header, *rows = (line.split() for line in _TABLE.strip().splitlines())
    return {
        (row[0], state): action
        for row in rows
        for state, action in zip(header, row[1:], strict=True)
        if action != "-"
    }


TRANSITIONS = _transitions()
"""Event and state to the action; a pair that is not here has none."""
