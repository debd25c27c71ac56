"""The tests of pynetdicom's own suite that fail with our classes in place, and why.

Only those of `RACES` are run: some of the others would wait for ever for what does not happen.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

RACES = (
    "an answer leaves at once, and sometimes the other thread of pynetdicom's Association is not as far as "
    "the test takes for granted"
)

EXPECTED: dict[str, tuple[str, ...]] = {
    "in state 13 what still arrives is thrown away until the peer closes, and nothing is answered": (
        *(f"test_fsm.py::TestState13::test_evt{number}" for number in ("01", "03", "04", "06", "10")),
        *(f"test_fsm.py::TestState13::test_evt{number}" for number in ("12", "13", "16", "18", "19")),
    ),
    "there is no TLS": ("test_transport.py::TestTLS::*",),
    "EVT_DATA_SENT is not triggered: nobody listens, and PDUs leave in pieces that are never joined": (
        "test_transport.py::TestEventHandling*::test_data_sent*",
        "test_logging.py::TestDebuggingLogging::test_debug_data_*",
    ),
    "log messages have other words": (
        "test_dul.py::TestDUL::test_recv_failure_aborts",
        "test_dul.py::TestDUL::test_recv_short_aborts",
        "test_dul.py::TestDUL::test_recv_missing_data",
        "test_dul.py::TestDUL::test_recv_bad_pdu_aborts",
        "test_transport.py::TestEventHandlingRequestor::test_connection_failure_log",
        "test_ae.py::TestAEGoodAssociation::test_connection_timeout",
    ),
    "a Connection has no socket before it connects, and its constructor takes other arguments": (
        *(f"test_fsm.py::TestState01::test_evt{number}" for number in ("03", "04", "06", "10")),
        *(f"test_fsm.py::TestState01::test_evt{number}" for number in ("12", "13", "16", "17", "19")),
        "test_fsm.py::TestState04::*",
        "test_transport.py::TestAssociationSocket::test_init_*",
        "test_transport.py::TestAssociationSocket::test_close_connect",
        "test_transport.py::TestAssociationSocket::test_ready_error",
        "test_transport.py::TestAssociationSocket::test_no_socket_connect_raises",
    ),
    "every wait has a deadline: a network timeout of None is not supported": (
        "test_ae.py::TestAEGoodAssociation::test_association_timeouts",
    ),
    "a timer that was stopped has not expired (PS3.8 9.1.5), also when it had before": (
        "test_timer.py::TestTimer::test_timeout",
        "test_timer.py::TestTimer::test_timeout_stop",
    ),
    "what goes wrong in the state machine ends the thread of the association, which closes the connection": (
        "test_dul.py::TestDUL::test_exception_in_reactor",
    ),
    RACES: (
        "test_assoc.py::TestAssociation::test_peer_releases_assoc",
        "test_assoc.py::TestEventHandlingAcceptor::test_accept_bind",
        "test_service_qr.py::TestQRMoveServiceClass::test_subop_message_id",
    ),
}
"""Reason to patterns of tests."""


def reason_for(test: str) -> str | None:
    """Return why a test such as ``test_timer.py::TestTimer::test_timeout`` is expected to fail, else None."""
    for reason, patterns in EXPECTED.items():
        if any(fnmatchcase(test, pattern) for pattern in patterns):
            return reason
    return None
