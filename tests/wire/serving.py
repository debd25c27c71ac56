"""Our acceptor in the process of the test, with a policy of the test's own."""

from __future__ import annotations

from contextlib import contextmanager

from medserver.identity.principal import principal_of
from medserver.config import SERVICES, Remote
from medserver.wire.acceptor import Acceptor, bind, listen
from medserver.wire.admission import Admission, AdmissionLimits
from medserver.wire.command_set import NO_DATA_SET, RESPONSE, encode_command_set
from medserver.wire.entrance import Entrance
from medserver.wire.requestor import Address


PRINCIPAL = principal_of(Remote("REQUESTOR", "REQUESTOR", None, None, (), frozenset(SERVICES)), "127.0.0.1")
"""Who may use everything."""


def success(message) -> bytes:
    """Return the command set that answers a request with success."""
    return encode_command_set({
        "AffectedSOPClassUID": message.command_set["AffectedSOPClassUID"],
        "CommandField": message.command_field | RESPONSE,
        "MessageIDBeingRespondedTo": message.message_id,
        "CommandDataSetType": NO_DATA_SET,
        "Status": 0,
    })


@contextmanager
def running(policy, limits, admission_limits=AdmissionLimits()):
    """Run an acceptor with a policy; give its address."""
    admission = Admission(admission_limits)
    listener = bind("127.0.0.1", 0)
    listen(listener)
    acceptor = Acceptor([Entrance(listener)], "ACCEPTOR", limits, admission, policy)
    acceptor.start()
    try:
        yield Address("ACCEPTOR", "127.0.0.1", listener.getsockname()[1])
    finally:
        acceptor.stop(drain_s=2.0)
        assert admission.counts == (0, 0)
