"""Who is let in when many come."""

from __future__ import annotations

import time

from medserver.wire.accepted_association import AssociationState
from medserver.wire.admission import Admission, AdmissionLimits


class Visitor:
    """Stands where an association stands; notes that it was interrupted."""

    def __init__(self):
        self.interrupted = False
        self.state = AssociationState.IDLE

    def interrupt(self, force=False):
        self.interrupted = True


def test_the_oldest_silent_connection_of_the_busiest_address_makes_room():
    admission = Admission(AdmissionLimits(waiting_max=3))
    lone, *busy = visitors = [Visitor() for _ in range(4)]
    admission.add(lone, "10.0.0.1")
    for visitor in busy:
        admission.add(visitor, "10.0.0.2")
    assert [visitor.interrupted for visitor in visitors] == [False, True, False, False]
    assert not admission.establish(busy[0], "CT1")
    assert admission.establish(lone, "CT2")


def test_limits_count_established_associations_only():
    limits = AdmissionLimits(
        associations_max=3, associations_per_ae_max=2, associations_per_address_max=2, reserved_per_ae=0
    )
    admission = Admission(limits)
    outcomes = []
    for ae_title, address in [("A", "1"), ("A", "2"), ("A", "3"), ("B", "1"), ("C", "1"), ("C", "2")]:
        visitor = Visitor()
        admission.add(visitor, address)
        outcomes.append(admission.establish(visitor, ae_title))
        if not outcomes[-1]:
            admission.remove(visitor)
    assert outcomes == [True, True, False, True, False, False]
    assert admission.counts == (0, 3)


def test_leaving_makes_room_and_empties():
    admission = Admission(AdmissionLimits(associations_max=1, reserved_per_ae=0))
    first, second = Visitor(), Visitor()
    for visitor in (first, second):
        admission.add(visitor, "1")
    assert admission.establish(first, "A") and not admission.establish(second, "A")
    admission.remove(first)
    assert admission.establish(second, "A")
    assert not admission.wait_until_empty(time.monotonic() + 0.01)
    admission.remove(second)
    assert admission.wait_until_empty(time.monotonic() + 0.01)


def test_only_the_idle_are_interrupted_first():
    admission = Admission(AdmissionLimits())
    idle, busy = Visitor(), Visitor()
    busy.state = AssociationState.PERFORMING
    for visitor in (idle, busy):
        admission.add(visitor, "1")
        assert admission.establish(visitor, "A")
    admission.interrupt_idle()
    assert (idle.interrupted, busy.interrupted) == (True, False)
    admission.interrupt_all()
    assert busy.interrupted
