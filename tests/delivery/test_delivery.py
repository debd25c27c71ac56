"""What is received goes to where the rules say, whatever happens to either side."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless
from pynetdicom import evt

from tests.delivery.campaign import OPTIONS, Campaign, make_studies, prepared
from tests.delivery.outbox import PATIENCE_S, outbox, send, uids_of, wait_for, wait_until_empty
from tests.peers import Address
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_series, make_small
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port
from tests.peers.process import wait_until
from tests.peers.receiver import Receiver

NOBODY = Address("ARCHIVE", 1)
SEED = 20261126

Start = Callable[..., Node]


@pytest.fixture
def start(make_node: Callable[..., Node]) -> Start:
    """Give a function that starts a node with one rule to each destination."""

    def started(*destinations: Address, **rule: object) -> Node:
        node = make_node()
        for destination in destinations:
            node.add_remote(destination, allow=("store",))
        node.set_section("route all", {"to": ", ".join(one.ae_title for one in destinations)} | rule)
        return node.start()

    return started


def test_a_study_appears_at_a_second_archive(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE")
    node = start(storescp.address)
    series = make_series(tmp_path / "sent", 3, rows=64, columns=64)
    send(dcmtk, node, series)
    wait_for(storescp, series)
    wait_until_empty(node)
    assert "nothing waits" in node.cli("outbox").output
    wait_until(lambda: counted(node, "sent") == 3, what="the counts")


def counted(node: Node, outcome: str) -> int:
    """Return what the log says of instances, of all associations together."""
    lines = re.findall(rf' counts remote=ARCHIVE sop_class="CT Image Storage".* {outcome}=([0-9]+)', node.output)
    return sum(map(int, lines))


def test_only_what_the_rule_names_is_sent(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE")
    node = start(storescp.address, modality="CT", calling_ae_title="STORE*", KVP="120")
    ct = make_series(tmp_path / "ct", 2, rows=64, columns=64)
    send(dcmtk, node, make_small(tmp_path / "mr", 2))
    send(dcmtk, node, ct)
    wait_for(storescp, ct)
    wait_until_empty(node)


def test_rules_take_effect_at_once(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE")
    node = start(storescp.address, Modality="CT")
    first, *others = make_small(tmp_path / "mr", 100)
    send(dcmtk, node, [first])
    wait_until(lambda: json.loads(node.cli("jobs", "--json").check().output) == [], what="the decision on the first")
    node.set_section("route all", {"to": "ARCHIVE", "Modality": "MR"})
    left = iter(others)

    def arrives() -> bool:
        send(dcmtk, node, [next(left)])
        return bool(storescp.files())

    wait_until(arrives, what="the new rule")
    wait_until_empty(node)
    assert first.sop_instance_uid not in uids_of(storescp.files())


def test_compressed_for_those_who_want_it(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE", options=["--accept-all", "--promiscuous"])
    node = start(storescp.address, transfer_syntaxes="j2k, explicit")
    series = make_series(tmp_path / "sent", 2, rows=64, columns=64)
    send(dcmtk, node, series)
    wait_for(storescp, series)
    for path in storescp.files():
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == JPEG2000Lossless


def test_it_does_not_go_back_to_where_it_came_from(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    archive = dcmtk.start_storescp("ARCHIVE")
    node = start(archive.address, Address("STORESCU", free_port()))
    series = make_series(tmp_path / "sent", 2, rows=64, columns=64)
    send(dcmtk, node, series)
    wait_for(archive, series)
    wait_until_empty(node)


def test_two_rules_send_once(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE")
    node = start(storescp.address)
    assert node.stop() == 0
    node.set_section("route again", {"to": "ARCHIVE", "Modality": "CT"})
    node.start()
    series = make_series(tmp_path / "sent", 2, rows=64, columns=64)
    send(dcmtk, node, series)
    wait_for(storescp, series)
    wait_until_empty(node)


def test_orthanc_gets_it(start: Start, orthanc: Orthanc, dcmtk: Dcmtk, tmp_path: Path) -> None:
    node = start(orthanc.address)
    series = make_series(tmp_path / "sent", 3, rows=64, columns=64)
    send(dcmtk, node, series)
    orthanc.wait_for_instances(sample.sop_instance_uid for sample in series)


def test_what_cannot_be_sent_waits_and_survives_a_kill(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    up = dcmtk.start_storescp("UP")
    down = Address("DOWN", free_port())
    node = start(up.address, down)
    series = make_series(tmp_path / "sent", 3, rows=64, columns=64)
    send(dcmtk, node, series)
    wait_for(up, series)  # who is down slows nobody
    failed = [("DOWN", True)]
    wait_until(lambda: [(one["destination"], bool(one["reason"])) for one in outbox(node)] == failed, what="a failure")
    [waiting] = outbox(node)
    assert (waiting["destination"], waiting["waiting"], waiting["given_up"]) == ("DOWN", 3, 0)
    assert waiting["next_try_at"]
    table = node.cli("outbox").output
    assert "DOWN" in table
    assert "cannot connect to DOWN" in table
    assert node.cli("outbox", "--alarm", "0 s").exit_code == 1
    assert node.cli("outbox", "--alarm", "1 d").exit_code == 0
    node.kill()
    back = dcmtk.start_storescp("DOWN", port=down.port)
    node.start()
    wait_for(back, series)
    wait_until_empty(node)
    assert uids_of(up.files()) == sorted(sample.sop_instance_uid for sample in series)


@pytest.mark.parametrize("point", ["journal flushed", "object sealed", "row committed"])
def test_what_came_just_before_a_kill_arrives(start: Start, dcmtk: Dcmtk, tmp_path: Path, point: str) -> None:
    """The sender had no success and sends it again: it is there already then, but has to be sent on all the same."""
    storescp = dcmtk.start_storescp("ARCHIVE")
    node = start(storescp.address)
    series = make_series(tmp_path / "sent", 3, rows=64, columns=64)
    send(dcmtk, node, series[:1])
    wait_for(storescp, series[:1])
    assert node.stop() == 0
    node.start(environment={"MEDSERVER_CRASH_POINT": f"{point}:2"})
    assert dcmtk.store(node.address, *[sample.path for sample in series[1:]]).exit_code != 0
    node.kill()
    node.start()
    send(dcmtk, node, series[1:])
    wait_for(storescp, series)
    wait_until_empty(node)


def test_destinations_of_every_temper_get_each_instance_once_and_in_order(
    make_node: Callable[..., Node], dcmtk: Dcmtk, tmp_path: Path
) -> None:
    """A short run of scripts/deliveries: the workers are killed as well."""
    node, chance = make_node(options=OPTIONS), random.Random(SEED)
    with prepared(node, dcmtk, chance) as destinations:
        campaign = Campaign(node, destinations, chance)
        node.start()
        campaign.run(dcmtk, make_studies(tmp_path / "sent", 140), portion=20)
        campaign.check()


def test_one_that_refuses_an_instance_gets_the_others(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    """A destination that takes no CT at all: those fail visibly, the MR go on."""
    storescp = dcmtk.start_storescp("ARCHIVE", options=["--config-file", _only_mr(tmp_path), "MR"])
    node = start(storescp.address)
    mr = make_small(tmp_path / "mr", 2)
    send(dcmtk, node, make_series(tmp_path / "ct", 1, rows=64, columns=64))
    send(dcmtk, node, mr)
    wait_for(storescp, mr)
    wait_until(lambda: any(one["reason"] for one in outbox(node)), what="the reason")
    [refused] = outbox(node)
    assert (refused["waiting"], refused["given_up"]) == (0, 1)
    wait_until(lambda: counted(node, "failed") > 0, what="the counts")
    assert counted(node, "sent") == 0


def _only_mr(folder: Path) -> Path:
    path = folder / "only-mr.cfg"
    path.write_text(
        "[[TransferSyntaxes]]\n[Uncompressed]\nTransferSyntax1 = LocalEndianExplicit\n"
        "TransferSyntax2 = LittleEndianImplicit\n"
        "[[PresentationContexts]]\n[OnlyMR]\nPresentationContext1 = MRImageStorage\\Uncompressed\n"
        "[[Profiles]]\n[MR]\nPresentationContexts = OnlyMR\n"
    )
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stated", [b"ISO_IR 149", b"utf8      "])
def test_a_file_is_read_as_what_is_stored(make_node: Callable[..., Node], tmp_path: Path, stated: bytes) -> None:
    """Also where a character set is misspelt, and where there is no file meta information."""
    node = make_node()
    node.add_remote(NOBODY, allow=())
    node.set_section("route seoul", {"to": "ARCHIVE", "InstitutionName": "서울"})
    [sample] = make_series(tmp_path / "ct", 1, rows=16, columns=16)
    dataset = pydicom.dcmread(sample.path)
    dataset.SpecificCharacterSet, dataset.InstitutionName = "ISO_IR 100", "X" * 6
    dataset.save_as(sample.path)
    text = "서울".encode("euc_kr" if b"149" in stated else "utf-8").ljust(6)
    content = sample.path.read_bytes().replace(b"ISO_IR 100", stated).replace(b"X" * 6, text)
    for name, beginning in (("whole", 0), ("data set", content.index(b"\x08\x00\x05\x00CS"))):
        (tmp_path / name).write_bytes(content[beginning:])
        assert "seoul: to ARCHIVE" in node.cli("route", "test", tmp_path / name).check().output


def test_the_commands_tell_what_the_rules_say(make_node: Callable[..., Node], tmp_path: Path) -> None:
    node = make_node()
    node.add_remote(NOBODY, allow=())
    node.set_section("route ct", {"to": "ARCHIVE", "Modality": "CT\\MR", "priority": "high"})
    node.set_section("route scanner", {"to": "ARCHIVE", "calling_ae_title": "CT1"})
    listed = node.cli("route", "list").check().output
    assert "Modality = CT\\MR" in listed
    [sample] = make_series(tmp_path / "ct", 1, rows=16, columns=16)
    told = node.cli("route", "test", sample.path).check().output
    assert "ct: to ARCHIVE" in told
    assert "scanner: no, the calling AE title is not CT1" in told
    found = json.loads(node.cli("route", "test", sample.path, "--from", "CT1", "--json").check().output)
    verdicts = [each["verdict"] for one in found for each in one["destinations"]]
    assert ([one["wants"] for one in found], verdicts) == ([True, False], ["sends", "earlier rule"])
    (tmp_path / "text").write_text("no DICOM")
    assert "text is not a DICOM file" in node.cli("route", "test", tmp_path / "text").output


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "to is missing"),
        ({"to": "NOBODY"}, "no [ae NOBODY]"),
        ({"to": "STORESCU"}, "has no address with a port"),
        ({"to": "ARCHIVE", "Modalty": "CT"}, "no option 'modalty'"),
        ({"to": "ARCHIVE", "StudyDate": "yesterday"}, "StudyDate"),
    ],
)
def test_mistakes_are_told(make_node: Callable[..., Node], options: dict, problem: str) -> None:
    node = make_node()
    node.add_remote(NOBODY, allow=())
    node.set_section("route x", options)
    checked = node.cli("config", "check")
    assert checked.exit_code == 78
    assert problem in checked.output


def test_what_a_rule_changes_is_changed_on_the_way_only(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE", options=["--accept-all", "--promiscuous"])
    node = start(
        storescp.address,
        set="InstitutionName = Hospital\n    PatientComments = sent on",
        map="Manufacturer = medserver tests -> Others",
        remove="AccessionNumber",
        transfer_syntaxes="j2k",
    )
    [sample] = make_series(tmp_path / "sent", 1, rows=64, columns=64)
    send(dcmtk, node, [sample])
    wait_for(storescp, [sample])
    [received] = map(pydicom.dcmread, storescp.files())
    original = pydicom.dcmread(sample.path)
    assert received.file_meta.TransferSyntaxUID == JPEG2000Lossless
    assert (received.InstitutionName, received.Manufacturer) == ("Hospital", "Others")
    assert received["AccessionNumber"].is_empty
    assert received.pixel_array.tobytes() == original.PixelData
    [was] = received.OriginalAttributesSequence[0].ModifiedAttributesSequence
    assert (was.Manufacturer, was.AccessionNumber) == (original.Manufacturer, original.AccessionNumber)
    answer = dcmtk.find(node.address, "STUDY", {"StudyInstanceUID": original.StudyInstanceUID, "AccessionNumber": ""})
    assert answer.identifiers[0].AccessionNumber == original.AccessionNumber


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"set": "SOPInstanceUID = 1.2.3"}, "SOPInstanceUID cannot be changed on the way"),
        ({"set": "Nonsense = 1"}, "'Nonsense' is not an attribute"),
        ({"map": "StationName = CT1"}, "is not of the form 'Keyword = old -> new'"),
        ({"remove": "PixelData"}, "PixelData cannot be changed on the way"),
        ({"set": "PatientAge = old"}, "PatientAge cannot have the value 'old': 'old' is no value of VR AS"),
        ({"map": "StationName = CT1 -> " + 17 * "X"}, "it has 17 characters, and VR SH allows 16"),
    ],
)
def test_changes_that_make_no_sense_are_mistakes(
    make_node: Callable[..., Node], options: dict, problem: str
) -> None:
    node = make_node()
    node.add_remote(NOBODY, allow=())
    node.set_section("route x", {"to": "ARCHIVE"} | options)
    checked = node.cli("config", "check")
    assert checked.exit_code == 78
    assert problem in checked.output


def test_one_instance_that_the_destination_cannot_stand_does_not_hold_up_the_others(
    start: Start, dcmtk: Dcmtk, tmp_path: Path
) -> None:
    """A peer that aborts the association whenever it gets the first instance."""
    samples = make_small(tmp_path / "sent", 4)

    def store(event: evt.Event) -> int:
        if event.request.AffectedSOPInstanceUID == samples[0].sop_instance_uid:
            event.assoc.abort()
            return 0x0110
        return 0x0000

    with Receiver("ARCHIVE", respond=store) as archive:
        node = start(archive.address)
        send(dcmtk, node, samples)
        others = sorted(sample.sop_instance_uid for sample in samples[1:])
        wait_until(lambda: sorted(archive.received) == others, deadline_s=PATIENCE_S, what="the others")
        wait_until(lambda: [one["waiting"] for one in outbox(node)] == [1], what="the one that is left")


def test_a_text_of_a_rule_arrives_in_a_character_set_that_is_stated(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp("ARCHIVE", options=["--accept-all", "--promiscuous"])
    node = start(storescp.address, set="InstitutionName = Krankenhaus Süd")
    [sample] = make_series(tmp_path / "sent", 1, rows=64, columns=64)
    send(dcmtk, node, [sample])
    wait_for(storescp, [sample])
    [received] = map(pydicom.dcmread, storescp.files())
    assert received.SpecificCharacterSet in ("ISO_IR 100", "ISO_IR 192")
    assert received.InstitutionName == "Krankenhaus Süd"


def test_what_is_changed_and_what_is_not_go_side_by_side(start: Start, dcmtk: Dcmtk, tmp_path: Path) -> None:
    """Both are compressed ahead of their turn; neither becomes the other."""
    storescp = dcmtk.start_storescp("ARCHIVE", options=["--accept-all", "--promiscuous"])
    node = start(storescp.address, transfer_syntaxes="j2k", InstanceNumber="1\\3\\5", set="InstitutionName = Changed")
    assert node.stop() == 0
    node.set_section("route rest", {"to": "ARCHIVE", "transfer_syntaxes": "j2k"})
    node.start()
    series = make_series(tmp_path / "sent", 6, rows=64, columns=64)
    send(dcmtk, node, series)
    wait_for(storescp, series)
    for dataset in map(pydicom.dcmread, storescp.files()):
        assert dataset.get("InstitutionName", "") == ("Changed" if dataset.InstanceNumber % 2 else "")
        assert dataset.file_meta.TransferSyntaxUID == JPEG2000Lossless
