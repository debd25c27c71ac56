"""The state machine of the upper layer protocol, for requestor and acceptor: PS3.8 9.2 as two tables.

`TRANSITIONS` is table 9-10, `ACTIONS` is what tables 9-6 to 9-9 say of each action. How they are performed is told in
`upper_layer`.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import NamedTuple

from pynetdicom.pdu_primitives import A_ABORT, A_ASSOCIATE, A_P_ABORT, A_RELEASE

from medserver.wire.associate_request import AssociationRequest


class PDUType(IntEnum):
    """PS3.8 9.3.1."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class State(IntEnum):
    """PS3.8 tables 9-1 to 9-5."""

    STA1 = 1  # idle
    STA2 = 2  # transport connection open, awaiting A-ASSOCIATE-RQ
    STA3 = 3  # awaiting the A-ASSOCIATE response of the local user
    STA4 = 4  # awaiting the transport connection
    STA5 = 5  # awaiting A-ASSOCIATE-AC or A-ASSOCIATE-RJ
    STA6 = 6  # association established
    STA7 = 7  # awaiting A-RELEASE-RP
    STA8 = 8  # awaiting the A-RELEASE response of the local user
    STA9 = 9  # release collision, requestor: awaiting the A-RELEASE response of the local user
    STA10 = 10  # release collision, acceptor: awaiting A-RELEASE-RP
    STA11 = 11  # release collision, requestor: awaiting A-RELEASE-RP
    STA12 = 12  # release collision, acceptor: awaiting the A-RELEASE response of the local user
    STA13 = 13  # awaiting the end of the transport connection


class Event(IntEnum):
    """The rows of PS3.8 table 9-10: primitives of the local user, PDUs received, and what transport and timer tell."""

    ASSOCIATE_REQUEST = 1
    TRANSPORT_CONFIRM = 2
    ASSOCIATE_AC_RECEIVED = 3
    ASSOCIATE_RJ_RECEIVED = 4
    TRANSPORT_INDICATION = 5
    ASSOCIATE_RQ_RECEIVED = 6
    ASSOCIATE_RESPONSE_ACCEPT = 7
    ASSOCIATE_RESPONSE_REJECT = 8
    P_DATA_REQUEST = 9
    P_DATA_TF_RECEIVED = 10
    RELEASE_REQUEST = 11
    RELEASE_RQ_RECEIVED = 12
    RELEASE_RP_RECEIVED = 13
    RELEASE_RESPONSE = 14
    ABORT_REQUEST = 15
    ABORT_RECEIVED = 16
    TRANSPORT_CLOSED = 17
    ARTIM_EXPIRED = 18
    INVALID_PDU_RECEIVED = 19


RECEIVED = {
    PDUType.ASSOCIATE_RQ: Event.ASSOCIATE_RQ_RECEIVED,
    PDUType.ASSOCIATE_AC: Event.ASSOCIATE_AC_RECEIVED,
    PDUType.ASSOCIATE_RJ: Event.ASSOCIATE_RJ_RECEIVED,
    PDUType.P_DATA_TF: Event.P_DATA_TF_RECEIVED,
    PDUType.RELEASE_RQ: Event.RELEASE_RQ_RECEIVED,
    PDUType.RELEASE_RP: Event.RELEASE_RP_RECEIVED,
    PDUType.ABORT: Event.ABORT_RECEIVED,
}
"""Which event the reception of a PDU is; of any other type it is `Event.INVALID_PDU_RECEIVED`."""


class Timer(Enum):
    """What an action does to the ARTIM timer (PS3.8 9.1.5)."""

    START = "start"
    STOP = "stop"


class Action(NamedTuple):
    """What an action does.

    Attributes
    ----------
    next_state : State
        The state behind it.
    sends : PDUType or None
        The PDU that it sends.
    indicates : type or None
        The primitive that it issues to the local user.
    closes : bool
        Whether it closes the transport connection.
    timer : Timer or None
        What it does to the ARTIM timer.
    """

    next_state: State
    sends: PDUType | None = None
    indicates: type | None = None
    closes: bool = False
    timer: Timer | None = None


ACTIONS = {
    # Association establishment (PS3.8 table 9-6). AE-1 asks for the transport connection: see `UpperLayer.connect`.
    "AE-1": Action(State.STA4),
    "AE-2": Action(State.STA5, sends=PDUType.ASSOCIATE_RQ),
    "AE-3": Action(State.STA6, indicates=A_ASSOCIATE),
    "AE-4": Action(State.STA1, indicates=A_ASSOCIATE, closes=True),
    "AE-5": Action(State.STA2, timer=Timer.START),
    "AE-6": Action(State.STA3, indicates=AssociationRequest, timer=Timer.STOP),
    "AE-7": Action(State.STA6, sends=PDUType.ASSOCIATE_AC),
    "AE-8": Action(State.STA13, sends=PDUType.ASSOCIATE_RJ, timer=Timer.START),
    # Data transfer (table 9-7).
    "DT-1": Action(State.STA6, sends=PDUType.P_DATA_TF),
    "DT-2": Action(State.STA6),  # the indication is what `UpperLayer.read_p_data` returns
    # Association release (table 9-8). AR-6 does not pass on what comes behind our request: nobody waits for it. The
    # next state of AR-8 is that of the requestor, see COLLISION_STATE_OF_ACCEPTOR.
    "AR-1": Action(State.STA7, sends=PDUType.RELEASE_RQ),
    "AR-2": Action(State.STA8, indicates=A_RELEASE),
    "AR-3": Action(State.STA1, indicates=A_RELEASE, closes=True),
    "AR-4": Action(State.STA13, sends=PDUType.RELEASE_RP, timer=Timer.START),
    "AR-5": Action(State.STA1, closes=True, timer=Timer.STOP),
    "AR-6": Action(State.STA7),
    "AR-7": Action(State.STA8, sends=PDUType.P_DATA_TF),
    "AR-8": Action(State.STA9, indicates=A_RELEASE),
    "AR-9": Action(State.STA11, sends=PDUType.RELEASE_RP),
    "AR-10": Action(State.STA12, indicates=A_RELEASE),
    # Association abort (table 9-9).
    "AA-1": Action(State.STA13, sends=PDUType.ABORT, timer=Timer.START),
    "AA-2": Action(State.STA1, closes=True, timer=Timer.STOP),
    "AA-3": Action(State.STA1, indicates=A_ABORT, closes=True),
    "AA-4": Action(State.STA1, indicates=A_P_ABORT, closes=True),
    "AA-5": Action(State.STA1, closes=True, timer=Timer.STOP),
    "AA-6": Action(State.STA13),
    "AA-7": Action(State.STA13, sends=PDUType.ABORT),
    "AA-8": Action(State.STA13, sends=PDUType.ABORT, indicates=A_P_ABORT, timer=Timer.START),
}

COLLISION_STATE_OF_ACCEPTOR = State.STA10
"""The next state of AR-8 of the association acceptor."""

_TABLE = """
       Sta1  Sta2  Sta3  Sta4  Sta5  Sta6  Sta7  Sta8  Sta9  Sta10 Sta11 Sta12 Sta13
Evt1   AE-1  -     -     -     -     -     -     -     -     -     -     -     -
Evt2   -     -     -     AE-2  -     -     -     -     -     -     -     -     -
Evt3   -     AA-1  AA-8  -     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt4   -     AA-1  AA-8  -     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt5   AE-5  -     -     -     -     -     -     -     -     -     -     -     -
Evt6   -     AE-6  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
Evt7   -     -     AE-7  -     -     -     -     -     -     -     -     -     -
Evt8   -     -     AE-8  -     -     -     -     -     -     -     -     -     -
Evt9   -     -     -     -     -     DT-1  -     AR-7  -     -     -     -     -
Evt10  -     AA-1  AA-8  -     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt11  -     -     -     -     -     AR-1  -     -     -     -     -     -     -
Evt12  -     AA-1  AA-8  -     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt13  -     AA-1  AA-8  -     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
Evt14  -     -     -     -     -     -     -     AR-4  AR-9  -     -     AR-4  -
Evt15  -     -     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  -
Evt16  -     AA-2  AA-3  -     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
Evt17  -     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
Evt18  -     AA-2  -     -     -     -     -     -     -     -     -     -     AA-2
Evt19  -     AA-1  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""

TRANSITIONS: dict[tuple[State, Event], str] = {
    (state, event): name
    for event, row in zip(Event, _TABLE.strip().splitlines()[1:], strict=True)
    for state, name in zip(State, row.split()[1:], strict=True)
    if name != "-"
}
"""State and event to the name of the action; a pair that is not here has none (PS3.8 table 9-10)."""
