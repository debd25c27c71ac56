"""What rules have processed: of what, when, once, and who gets it. In one process; nothing is sent."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medserver import archive
from medserver.dicom.uids import new_uid
from medserver.node import Node
from medserver.processing.asking import ask
from medserver.safekeeping.deletion import order_deletion
from tests.archive.conftest import open_archive, stored_paths  # noqa: F401 - a fixture
from tests.clock import Clock
from tests.index.samples import forget
from tests.peers.dcmtk import Dcmtk
from tests.peers.process import wait_until
from tests.processing import phantoms
from tests.processing.rules_node import (
    ENTRIES,
    MODALITY,
    WORKSTATION,
    Open,
    deliveries,
    held,
    inputs,
    processed,
    receive,
    requests,
    results,
    run_all,
    stored,
)

SLICES = 4
QUIET_S = 60.0


@pytest.fixture
def opened(open_archive, clock: Clock) -> Open:  # noqa: F811
    """Give a function that opens the node with options of rules: ``rule.option=value``."""
    return lambda *options: open_archive(*ENTRIES, *(f"processing {each}" for each in options), clock=clock)


def slices(series: int = 1, **others) -> list[Dataset]:
    volume = np.random.default_rng(series).integers(0, 2000, (SLICES, 16, 16)).astype(np.uint16)
    return phantoms.ct_series(volume, series=series, **others)


def store(node: Node, clock: Clock, *instances: Dataset, calling_ae_title: str = MODALITY) -> None:
    """Receive instances, and let it be quiet."""
    for one in instances:
        assert receive(node, one, calling_ae_title) == "stored"
    clock.advance(QUIET_S + 1)
    run_all(node)


def uids(datasets: list[Dataset]) -> set[str]:
    return {str(one.SOPInstanceUID) for one in datasets}


def test_results_of_a_chain_go_to_those_that_get_the_last(opened: Open, clock: Clock) -> None:
    node = opened("r.type=denoise, reformat", "r.sigma=2", "r.orientation=sagittal", f"r.to=sender, {WORKSTATION}")
    store(node, clock, *slices())
    first, second = [request for _, request in requests(node)]
    assert (first.type_name, first.then, second.type_name, second.then) == ("denoise", ("reformat",), "reformat", ())
    assert second.own_parameters == {"orientation": "sagittal"}
    assert [state for state, _ in requests(node)] == ["COMPLETED", "COMPLETED"]
    between, last = results(node, "denoise"), results(node, "denoise", "reformat")
    assert len(between) == SLICES and len(last) > 1
    assert inputs(second) == uids(between)
    sent = deliveries(node)
    assert {name for name, _ in sent} == {MODALITY, WORKSTATION}
    for name in (MODALITY, WORKSTATION):
        assert {uid for to, uid in sent if to == name} == uids(last)


def test_a_part_of_the_result_is_asked_for_by_a_rule(opened: Open, clock: Clock) -> None:
    node = opened("r.type=denoise", "r.outputs=2-3")
    store(node, clock, *slices())
    assert sorted(one.InstanceNumber for one in results(node, "denoise")) == [2, 3]


def test_each_instance_alone(opened: Open, clock: Clock) -> None:
    node = opened("r.type=copy", "r.when=instance")
    for one in slices():
        receive(node, one)
    run_all(node)
    assert [len(inputs(request)) for _, request in requests(node)] == [1] * SLICES
    assert len(results(node, "copy")) == SLICES


def test_a_study_together(opened: Open, clock: Clock) -> None:
    node = opened("r.type=copy", "r.when=study")
    store(node, clock, *slices(1), *slices(2))
    [(state, request)] = requests(node)
    assert (state, inputs(request)) == ("COMPLETED", uids([*slices(1), *slices(2)]))
    assert len(request.inputs) == 2


def test_a_study_of_a_type_that_takes_one_series_at_a_time(opened: Open, clock: Clock) -> None:
    node = opened("r.type=reformat", "r.when=study")
    report = phantoms.changed(slices(3)[0], {"Modality": "SR"})
    store(node, clock, *slices(1), *slices(2), report)
    assert sorted((state, len(inputs(request))) for state, request in requests(node)) == [("COMPLETED", SLICES)] * 2


def test_what_comes_late_is_processed_with_what_was_there(opened: Open, clock: Clock) -> None:
    node = opened("r.type=copy", "r.when=study")
    early, late = slices()[:-1], slices()[-1:]
    store(node, clock, *early)
    store(node, clock, *late)
    asked = [inputs(request) for _, request in requests(node)]
    assert asked == [uids(early), uids([*early, *late])]  # and not what was made of them
    assert len(results(node, "copy")) == len(early) + SLICES


def test_only_what_the_rule_wants_of_a_series(opened: Open, clock: Clock) -> None:
    node = opened("r.type=copy", "r.ImageType=AXIAL")
    localizer = phantoms.changed(slices()[0], {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]})
    store(node, clock, localizer, *slices()[1:])
    [(_, request)] = requests(node)
    assert inputs(request) == uids(slices()[1:])


def test_only_what_is_delivered_somewhere(opened: Open, clock: Clock, open_archive) -> None:  # noqa: F811
    route = (f"route send.to={WORKSTATION}", "route send.SeriesDescription=Series 1")
    rule = ("processing r.type=copy", f"processing r.delivered_to={WORKSTATION}", f"processing r.to={WORKSTATION}")
    node = open_archive(*ENTRIES, *route, *rule, clock=clock)
    store(node, clock, *slices(1), *slices(2))
    [(_, request)] = requests(node)
    assert inputs(request) == uids(slices(1))
    assert {uid for _, uid in deliveries(node)} == inputs(request) | uids(results(node, "copy"))


def test_what_a_route_sends_to_the_same_entry_is_sent_once(open_archive, clock: Clock) -> None:  # noqa: F811
    """Who asks for it again gets it again."""
    route = (f"route send.to={WORKSTATION}", "route send.Modality=CT")
    rule = ("processing r.type=copy", f"processing r.delivered_to={WORKSTATION}", f"processing r.to={WORKSTATION}")
    node = open_archive(*ENTRIES, *route, *rule, clock=clock)
    store(node, clock, *slices())
    made = uids(results(node, "copy"))
    expected = sorted((WORKSTATION, uid) for uid in uids(slices()) | made)
    assert deliveries(node) == expected
    ask(node, ["copy"], {}, [str(slices()[0].SeriesInstanceUID)], [WORKSTATION])
    run_all(node)
    assert deliveries(node) == sorted([*expected, *((WORKSTATION, uid) for uid in made)])


def test_two_rules_do_not_process_the_results_of_each_other(opened: Open, clock: Clock) -> None:
    node = opened("a.type=copy", "b.type=denoise")
    store(node, clock, *slices())
    store(node, clock)
    assert {tuple(processed(one)) for one in stored(node)} == {(), ("copy",), ("denoise",)}


def test_a_rule_can_ask_for_results_of_this_node(opened: Open, clock: Clock) -> None:
    node = opened("a.type=copy", f"a.calling_ae_title={MODALITY}", "b.type=denoise", "b.calling_ae_title=MEDSERVER")
    store(node, clock, *slices())
    store(node, clock)
    store(node, clock)
    assert {tuple(processed(one)) for one in stored(node)} == {(), ("copy",), ("copy", "denoise")}


def test_a_result_that_comes_back_is_not_processed_again(opened: Open, clock: Clock) -> None:
    node = opened("r.type=denoise", f"r.to={WORKSTATION}")
    store(node, clock, *slices())
    count = len(stored(node))
    for one in results(node, "denoise"):
        receive(node, one, WORKSTATION)  # as it was sent
        one.SOPInstanceUID, one.SeriesInstanceUID = new_uid(), "1.2.3.4"
        receive(node, one, WORKSTATION)  # as another instance, which tells what it was made by
    store(node, clock)
    assert len(requests(node)) == 1
    assert len(stored(node)) == count + SLICES


def test_each_sender_gets_it_back(opened: Open, clock: Clock) -> None:
    node = opened("r.type=copy", "r.to=sender")
    for number, one in enumerate(slices()):
        receive(node, one, WORKSTATION if number % 2 else MODALITY)
    store(node, clock)
    assert sorted(request.destinations for _, request in requests(node)) == [(MODALITY,), (WORKSTATION,)]
    made = results(node, "copy")
    assert len(made) == SLICES, "what was asked for twice is made once"
    assert deliveries(node) == sorted((to, uid) for to in (MODALITY, WORKSTATION) for uid in uids(made))


def test_a_renamed_rule_goes_on(opened: Open, clock: Clock) -> None:
    node = opened("old.type=copy", f"old.to={WORKSTATION}")
    for one in slices():
        receive(node, one)
    node = opened("new.type=copy", f"new.to={WORKSTATION}")
    store(node, clock)
    assert len(results(node, "copy")) == SLICES


@pytest.mark.parametrize("when", ["series", "instance"])
def test_a_rule_that_is_gone_is_waited_for(opened: Open, clock: Clock, when: str) -> None:
    rule = ("r.type=copy", f"r.when={when}")
    node = opened(*rule)
    for one in slices():
        receive(node, one)
    without = opened()
    store(without, clock)
    assert {state for _, state in held(without)} == {"undecided"}
    assert requests(without) == []
    back = opened(*rule)
    clock.advance(QUIET_S)
    run_all(back, decides=True)
    clock.advance(QUIET_S)
    run_all(back)
    assert held(back) == []
    assert len(results(back, "copy")) == SLICES


def test_what_is_deleted_meanwhile_is_not_processed(opened: Open, clock: Clock) -> None:
    node = opened("r.type=copy")
    first, *others = slices()
    for one in (first, *others):
        receive(node, one)
    delete(node, first.SOPInstanceUID)
    store(node, clock)
    [(_, request)] = requests(node)
    assert inputs(request) == uids(others)


def test_nothing_is_left_to_process(opened: Open, clock: Clock) -> None:
    node = opened("r.type=copy")
    receive(node, slices()[0])
    delete(node, slices()[0].SOPInstanceUID)
    store(node, clock)
    assert (requests(node), held(node)) == ([], [])


def test_what_is_replaced_meanwhile_is_decided_anew(open_archive, clock: Clock) -> None:  # noqa: F811
    rule = ("processing r.type=copy", "processing r.Modality=CT")
    node = open_archive(*ENTRIES, *rule, "store.duplicates=replace", clock=clock)
    first, *others = slices()
    for one in (first, *others):
        receive(node, one)
    assert receive(node, phantoms.changed(first, {"Modality": "OT"})) == "replaced"
    store(node, clock)
    [(state, request)] = requests(node)
    assert (state, inputs(request)) == ("COMPLETED", uids(others))


def test_a_rule_that_cannot_be_applied_waits_for_a_decision(opened: Open, clock: Clock) -> None:
    node = opened("r.type=denoise", "r.sigma=100")
    store(node, clock, *slices())
    assert {state for _, state in held(node)} == {"dead"}
    assert requests(node) == []


def test_a_rule_that_is_changed_meanwhile_has_what_it_decided_done_as_it_said(opened: Open, clock: Clock) -> None:
    node = opened("r.type=denoise", "r.sigma=2")
    for one in slices():
        receive(node, one)
    node = opened("r.type=denoise", "r.sigma=3")
    store(node, clock)
    assert {one.DerivationDescription for one in results(node, "denoise")} == {
        "Reduction of noise: Gaussian, sigma 2 pixels"
    }


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_mistaken_rule_that_is_corrected_meanwhile_is_applied(opened: Open, clock: Clock, modality: str) -> None:
    node = opened("r.type=denoise", "r.sigma=100")
    for one in slices():
        receive(node, one)
    node = opened("r.type=denoise", "r.sigma=3", f"r.Modality={modality}")
    store(node, clock)
    assert len(results(node, "denoise")) == (SLICES if modality == "CT" else 0), "it wants CT, or no longer"
    assert held(node) == []


def test_a_mistaken_rule_that_is_corrected_later_is_applied_when_somebody_says_so(opened: Open, clock: Clock) -> None:
    node = opened("r.type=denoise", "r.sigma=100")
    store(node, clock, *slices())
    assert {state for _, state in held(node)} == {"dead"}
    node = opened("r.type=denoise", "r.sigma=3")
    node.index.jobs.retry([job.id for job in node.index.jobs.list()])
    run_all(node)
    assert len(results(node, "denoise")) == SLICES and held(node) == []


def test_what_is_adopted_is_processed(opened: Open, clock: Clock) -> None:
    node = opened("r.type=copy")
    for one in slices()[:2]:
        receive(node, one)
    path = stored_paths(node)[-1]
    node.index.jobs.drop([job.id for job in node.index.jobs.list()])
    forget(node.index, "main", path)
    assert archive.reconcile(node).adopted == 1
    for _ in range(3):  # its file is of a moment that is yet to come for the clock
        store(node, clock)
    assert [inputs(request) for _, request in requests(node)] == [uids(slices()[:2])]


def test_what_is_decided_later_is_processed(opened: Open, clock: Clock) -> None:
    """The attribute by which it is decided lies behind more than what is kept of a data set while it passes."""
    node = opened("r.type=copy", "r.RequestedProcedureDescription=Abd*")
    one = slices()[0]
    one.private_block(0x0021, "MEDSERVER TEST", create=True).add_new(1, "OB", bytes(200_000))
    one.RequestedProcedureDescription = "Abdomen"
    receive(node, one)
    assert [job.kind for job in node.index.jobs.list()] == ["route"]
    run_all(node)
    store(node, clock)
    assert len(requests(node)) == 1


def test_what_is_polled_is_processed(make_node, dcmtk: Dcmtk, tmp_path: Path) -> None:
    made = phantoms.write(tmp_path / "made", slices(StudyDate=f"{date.today():%Y%m%d}"))
    source = dcmtk.start_dcmqrscp("OLD")
    dcmtk.store(source.address, *sorted(made.iterdir())).check()
    node = make_node()
    node.add_remote(source.address, allow=("store",))
    node.set_section("poll there", {"source": "OLD"})
    node.set_section("processing r", {"type": "copy", "calling_ae_title": "OLD", "quiet": "0.2 s"})
    node.start()
    node.cli("poll", "run", "there").check()

    def states() -> list[str]:
        listed = json.loads(node.cli("workitem", "list", "--json").check().output)
        return [item["00741000"]["Value"][0] for item in listed]

    wait_until(lambda: states() == ["COMPLETED"], deadline_s=60, what="the processing")


def test_at_the_hours_of_the_rule(opened: Open, clock: Clock) -> None:
    now = clock.now.astimezone().hour
    node = opened("r.type=copy", "r.when=instance", f"r.hours={(now + 2) % 24}-{(now + 3) % 24 or 24}")
    receive(node, slices()[0])
    run_all(node)
    assert requests(node) == []
    clock.advance(2.5 * 3600)
    run_all(node)
    assert len(requests(node)) == 1


def delete(node: Node, sop_instance_uid: str) -> None:
    """Delete an instance, as an administrator does."""
    order_deletion(node, list(node.index.instances([sop_instance_uid]).values()), by="test", reason="a test")
    run_all(node)
