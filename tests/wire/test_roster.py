"""What acceptor processes tell each other through shared memory."""

from __future__ import annotations

import os

from medserver.wire.admission import Admission, AdmissionLimits
from medserver.wire.roster import Roster, checksum
from tests.wire.test_admission import Visitor


def in_child(work) -> None:
    """Call `work` in a forked process, and wait for its end."""
    process_id = os.fork()
    if process_id == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(process_id, 0)


def test_what_one_process_writes_another_one_reads():
    roster = Roster(processes=2, rows=10)
    here = roster.place(0)
    in_child(lambda: roster.place(1).add("association", "CT1", "10.0.0.1"))
    assert here.established() == [(checksum("CT1"), checksum("10.0.0.1"))]
    roster.forget(1)
    assert here.established() == []


def test_a_limit_counts_the_associations_of_all_processes():
    roster = Roster(processes=2, rows=10)
    limits = AdmissionLimits(associations_max=10, associations_per_ae_max=2, reserved_per_ae=0)

    def two_associations() -> None:
        elsewhere = Admission(limits, roster.place(1))
        for visitor in (Visitor(), Visitor()):
            elsewhere.add(visitor, "10.0.0.1")
            assert elsewhere.establish(visitor, "CT1")

    in_child(two_associations)
    here = Admission(limits, roster.place(0))
    late, other = Visitor(), Visitor()
    for visitor in (late, other):
        here.add(visitor, "10.0.0.1")
    assert not here.establish(late, "CT1")
    assert here.establish(other, "CT2")


def test_rows_are_used_again():
    place = Roster(processes=1, rows=2).place(0)
    for number in range(10):
        assert place.add(number, "CT1", "10.0.0.1")
        assert place.add(-number - 1, "CT1", "10.0.0.1")
        assert not place.add("one too many", "CT1", "10.0.0.1")
        place.remove(number)
        place.remove(-number - 1)
    assert place.established() == []


def test_who_serves_more_leaves_a_new_connection_to_the_other():
    roster = Roster(processes=2, rows=10)
    first, second = roster.place(0), roster.place(1)
    assert first.hesitation_s() == second.hesitation_s() == 0.0
    first.set_connections(3)
    second.set_connections(2)
    assert first.hesitation_s() > 0.0
    assert second.hesitation_s() == 0.0
