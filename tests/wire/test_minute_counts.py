"""How many associations began in a minute, over several processes and with a clock of the test."""

from __future__ import annotations

from medserver.wire.admission import Admission, AdmissionLimits
from medserver.wire.roster import Roster
from medserver.wire.minute_counts import INTERVAL_S, ROWS, MinuteCounts, ProcessMinuteCounts
from tests.clock import Clock
from tests.wire.test_admission import Visitor
from tests.wire.test_roster import in_child


def test_counts_of_all_processes_in_this_minute():
    clock = Clock(0.0)
    minute_counts = MinuteCounts(processes=2)
    here, there = ProcessMinuteCounts(minute_counts, 0, clock), ProcessMinuteCounts(minute_counts, 1, clock)
    assert here.begun() == []
    here.note(1, 10)
    here.note(1, 10)
    here.note(2, 10)
    in_child(lambda: there.note(1, 10))
    assert sorted(here.begun()) == [(1, 10, 1), (1, 10, 2), (2, 10, 1)]
    clock.now += INTERVAL_S
    assert here.begun() == there.begun() == []
    here.note(3, 30)
    assert here.begun() == there.begun() == [(3, 30, 1)]


def test_more_pairs_than_rows_are_not_counted():
    place = ProcessMinuteCounts(MinuteCounts(processes=1), 0, Clock(0.0))
    for title in range(ROWS + 10):
        place.note(title, 1)
    place.note(0, 1)
    assert place.begun() == [(0, 1, 2), *((title, 1, 1) for title in range(1, ROWS))]


def admitted(admission: Admission, ae_title: str, address: str) -> bool:
    """Let an association begin and end; return whether it was let in."""
    visitor = Visitor()
    admission.add(visitor, address)
    outcome = admission.establish(visitor, ae_title)
    admission.remove(visitor)
    return outcome


def test_the_limit_counts_what_has_ended():
    roster = Roster(processes=2, rows=10)
    limits = AdmissionLimits(associations_per_minute_per_address_max=6, reserved_per_ae=2)
    here, there = (Admission(limits, roster.place(index)) for index in range(2))
    outcomes = [admitted(admission, "A", "1") for admission in (here, there) * 4]
    assert outcomes == [True] * 6 + [False] * 2
    assert admitted(here, "A", "2")  # another address


def test_each_ae_has_a_few_associations_a_minute_for_itself():
    limits = AdmissionLimits(associations_per_minute_per_address_max=6, reserved_per_ae=2)
    admission = Admission(limits)
    assert [admitted(admission, "GREEDY", "1") for _ in range(8)] == [True] * 6 + [False] * 2
    assert [admitted(admission, "MODEST", "1") for _ in range(3)] == [True, True, False]


def test_without_a_limit_nobody_is_kept_out():
    admission = Admission(AdmissionLimits(associations_per_minute_per_address_max=0))
    assert all(admitted(admission, "A", "1") for _ in range(1000))
