"""A rule is renamed, deleted or sends elsewhere while something waits by it: that waits for a decision."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pydicom
import pytest

from tests.peers import Address
from tests.peers.dcmtk import Dcmtk
from tests.peers.dcmtk_servers import StoreSCP
from tests.peers.files import Sample, make_small
from tests.peers.node import Node
from tests.peers.process import wait_until

PATIENCE_S = 60
LOST = "route research"
ANONYMOUS = {"set": "PatientName = ANON", "remove": "StudyDate"}
CHANGES: dict[str, Callable[[Node], None]] = {
    "deleted": lambda node: node.remove_section(LOST),
    "sends elsewhere": lambda node: node.set_section(LOST, {"to": "OTHER"} | ANONYMOUS),
    "sends only the news": lambda node: node.set_section(LOST, {"to": "ARCHIVE", "send": "availability"}),
}


@pytest.fixture
def storescp(dcmtk: Dcmtk) -> StoreSCP:
    return dcmtk.start_storescp("ARCHIVE")


@pytest.fixture
def node(make_node: Callable[..., Node], storescp: StoreSCP) -> Node:
    """Give a node whose rule makes what it sends anonymous."""
    made = make_node()
    made.add_remote(storescp.address, allow=("store",))
    made.add_remote(Address("OTHER", storescp.address.port), allow=("store",))
    made.set_section(LOST, {"to": "ARCHIVE"} | ANONYMOUS)
    return made.start()


def rename(node: Node, options: Mapping[str, object]) -> None:
    node.set_section("route anonymised for research", options)
    node.remove_section(LOST)


def lose(node: Node, dcmtk: Dcmtk, samples: list[Sample], change: Callable[[Node], None], *kinds: str) -> None:
    """Have instances wait by a rule, change that, and have them tried."""
    for kind in kinds:
        node.cli("jobs", "pause", kind).check()
    dcmtk.store(node.address, *[sample.path for sample in samples]).check()
    change(node)
    for kind in kinds:
        node.cli("jobs", "resume", kind).check()
    wait_until(lambda: tried(node, len(samples)), deadline_s=PATIENCE_S, what="a try of each")


def wait_while(node: Node, dcmtk: Dcmtk, samples: list[Sample], change: Callable[[Node], None]) -> None:
    """Have instances wait for their destination while the rules change."""
    node.cli("jobs", "pause", "deliver").check()
    dcmtk.store(node.address, *[sample.path for sample in samples]).check()
    change(node)
    node.cli("jobs", "resume", "deliver").check()


def tried(node: Node, count: int) -> bool:
    jobs = json.loads(node.cli("jobs", "list", "--json").check().output)
    return sum("no rule 'research'" in (job["last_error"] or "") for job in jobs) == count


def undecided(node: Node) -> dict[str, int]:
    found = json.loads(node.cli("outbox", "--json").check().output)
    return found[0]["undecided"] if found else {}


def arrived(storescp: StoreSCP, count: int) -> set[tuple[str, str]]:
    """Wait until so many files have come; return what is in them of the patient and the date."""
    wait_until(lambda: len(storescp.files()) == count, deadline_s=PATIENCE_S, what="the delivery")
    wait_until(lambda: all(path.stat().st_size > 132 for path in storescp.files()), what="whole files")
    read = [pydicom.dcmread(path, stop_before_pixels=True) for path in storescp.files()]
    return {(str(one.PatientName), str(one.get("StudyDate", "none"))) for one in read}


def of_samples(samples: list[Sample]) -> set[tuple[str, str]]:
    read = [pydicom.dcmread(sample.path, stop_before_pixels=True) for sample in samples]
    return {(str(one.PatientName), str(one.get("StudyDate", "none"))) for one in read}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_is_not_sent_without_the_changes(
    node: Node, dcmtk: Dcmtk, storescp: StoreSCP, tmp_path: Path, change: Callable[[Node], None]
) -> None:
    samples = make_small(tmp_path / "sent", 2)
    lose(node, dcmtk, samples, change, "deliver")
    assert undecided(node) == {"research": 2}
    told = node.cli("outbox").output
    assert "2 deliveries to ARCHIVE wait for a decision" in told
    assert "medserver outbox drop --rule research --waits-for decision" in told
    assert node.cli("outbox", "--alarm", "0 s").exit_code == 1
    assert storescp.files() == []
    node.set_section(LOST, {"to": "ARCHIVE"} | ANONYMOUS)  # it is back
    node.cli("jobs", "retry", "--kind", "deliver", "--state", "undecided").check()  # else within half a minute
    assert arrived(storescp, 2) == {("ANON", "")}
    assert undecided(node) == {}


def test_a_renamed_rule_sends_what_waits(node: Node, dcmtk: Dcmtk, storescp: StoreSCP, tmp_path: Path) -> None:
    samples = make_small(tmp_path / "sent", 2)
    wait_while(node, dcmtk, samples, lambda node: rename(node, {"to": "ARCHIVE"} | ANONYMOUS))
    assert arrived(storescp, 2) == {("ANON", "")}


def test_what_waits_is_sent_as_was_decided(
    node: Node, dcmtk: Dcmtk, storescp: StoreSCP, tmp_path: Path
) -> None:
    corrected = {"to": "ARCHIVE", "set": "PatientName = CORRECTED", "remove": "StudyDate"}
    sent = make_small(tmp_path / "sent", 1)
    wait_while(node, dcmtk, sent, lambda node: node.set_section(LOST, corrected))
    assert arrived(storescp, 1) == {("ANON", "")}
    dcmtk.store(node.address, *[sample.path for sample in make_small(tmp_path / "again", 1)]).check()
    assert arrived(storescp, 2) == {("ANON", ""), ("CORRECTED", "")}


def test_it_is_sent_by_another_rule(node: Node, dcmtk: Dcmtk, storescp: StoreSCP, tmp_path: Path) -> None:
    samples = make_small(tmp_path / "sent", 2)
    lose(node, dcmtk, samples, CHANGES["deleted"], "deliver")
    node.set_section("route anonymised for research", {"to": "ARCHIVE", "set": "PatientName = OTHER"})
    node.set_section("route news", {"to": "ARCHIVE", "send": "availability"})
    for arguments, problem in (
        (["research"], "say one of --by RULE, --unchanged and --as-decided"),
        (["research", "--unchanged", "--as-decided"], "say one of --by RULE, --unchanged and --as-decided"),
        (["research", "--by", "unknown"], "no rule 'unknown' sends this to ARCHIVE"),
        (["research", "--by", "news"], "no rule 'news' sends this to ARCHIVE"),
        (["unknown", "--unchanged"], "nothing waits for a decision about the rule 'unknown'"),
    ):
        refused = node.cli("outbox", "send", *arguments)
        assert refused.exit_code == 2
        assert problem in refused.output
    assert undecided(node) == {"research": 2}
    node.cli("outbox", "send", "research", "--by", "anonymised for research").check()
    assert {name for name, _ in arrived(storescp, 2)} == {"OTHER"}


def test_it_is_sent_unchanged_or_dropped(node: Node, dcmtk: Dcmtk, storescp: StoreSCP, tmp_path: Path) -> None:
    samples = make_small(tmp_path / "sent", 2)
    lose(node, dcmtk, samples, CHANGES["deleted"], "deliver")
    node.cli("outbox", "drop", "--rule", "research", "--destination", "ARCHIVE").check()
    assert "nothing waits" in node.cli("outbox").output
    node.set_section(LOST, {"to": "ARCHIVE"} | ANONYMOUS)
    lose(node, dcmtk, samples_again := make_small(tmp_path / "again", 2), CHANGES["deleted"], "deliver")
    node.cli("outbox", "send", "research", "--unchanged").check()
    assert arrived(storescp, 2) == of_samples(samples_again)


def test_it_is_sent_as_the_lost_rule_said(node: Node, dcmtk: Dcmtk, storescp: StoreSCP, tmp_path: Path) -> None:
    samples = make_small(tmp_path / "sent", 2)
    lose(node, dcmtk, samples, CHANGES["deleted"], "deliver")
    node.cli("outbox", "send", "research", "--as-decided").check()
    assert arrived(storescp, 2) == {("ANON", "")}


def test_a_corrected_rule_sends_what_waits(node: Node, dcmtk: Dcmtk, storescp: StoreSCP, tmp_path: Path) -> None:
    node.cli("outbox", "pause", "ARCHIVE").check()
    samples = make_small(tmp_path / "sent", 2)
    dcmtk.store(node.address, *[sample.path for sample in samples]).check()
    node.set_section(LOST, {"to": "ARCHIVE", "set": "PatientName = CORRECTED", "remove": "StudyDate"})
    assert "2 deliveries will be done" in node.cli("outbox", "send", "research", "--by", "research").check().output
    node.cli("outbox", "resume", "ARCHIVE").check()
    assert arrived(storescp, 2) == {("CORRECTED", "")}


def test_what_is_held_until_its_study_is_complete(
    node: Node, dcmtk: Dcmtk, storescp: StoreSCP, tmp_path: Path
) -> None:
    held = {"to": "ARCHIVE", "when": "study", "quiet": "1 s"} | ANONYMOUS
    node.set_section(LOST, held)
    samples = make_small(tmp_path / "sent", 2)
    lose(node, dcmtk, samples, CHANGES["deleted"], "hold", "deliver")
    assert (undecided(node), storescp.files()) == ({"research": 2}, [])
    node.set_section(LOST, held)
    node.cli("jobs", "retry", "--kind", "hold", "--state", "undecided").check()
    assert arrived(storescp, 2) == {("ANON", "")}
