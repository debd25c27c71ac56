"""The peers work on their own, before the node is in the game."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conftest import NodeFactory
from tests.peers import Address, PeerFailed, files, find_program, is_installed, requires
from tests.peers.dcmtk import Dcmtk
from tests.peers.gdcm import Gdcm
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port
from tests.peers.process import Server, run, wait_until


def study_of(sample: files.Sample) -> str:
    return files.pydicom.dcmread(sample.path, stop_before_pixels=True).StudyInstanceUID


def test_echoscu_to_storescp(dcmtk: Dcmtk) -> None:
    storescp = dcmtk.start_storescp()
    answer = dcmtk.echo(storescp.address).check()
    assert answer.output.count("Received Echo Response (Success)") == 1


def test_echoscu_without_a_listener_fails(dcmtk: Dcmtk) -> None:
    answer = dcmtk.echo(Address("NOBODY", free_port()))
    assert answer.exit_code != 0
    assert answer.status is None


def test_storescu_to_storescp_keeps_the_bytes(dcmtk: Dcmtk, tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp()
    sent = files.make_series(tmp_path / "series", 3, rows=32, columns=32)
    answer = dcmtk.store(storescp.address, tmp_path / "series").check()
    assert answer.statuses == (0, 0, 0)
    assert storescp.datasets().keys() == {sample.sop_instance_uid for sample in sent}
    received = {path.name.partition(".")[2]: path for path in storescp.files()}
    for sample in sent:
        assert files.data_set_bytes(received[sample.sop_instance_uid]) == sample.data_set()


def test_dcmsend_to_storescp_keeps_compressed_pixels(dcmtk: Dcmtk) -> None:
    storescp = dcmtk.start_storescp()
    [sample] = [sample for sample in files.samples() if sample.path.name == "JPEG2000.dcm"]
    assert dcmtk.send(storescp.address, sample.path).check().statuses == (0,)
    received = storescp.datasets()[sample.sop_instance_uid]
    assert received.file_meta.TransferSyntaxUID == sample.transfer_syntax_uid
    assert received.PixelData == files.pydicom.dcmread(sample.path).PixelData


def test_find_move_and_get_with_dcmqrscp(dcmtk: Dcmtk, tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp("DESTINATION")
    dcmqrscp = dcmtk.start_dcmqrscp(remotes=[storescp.address])
    sent = files.make_series(tmp_path / "series", 2, rows=32, columns=32)
    dcmtk.store(dcmqrscp.address, tmp_path / "series").check()
    study = {"StudyInstanceUID": study_of(sent[0])}

    found = dcmtk.find(dcmqrscp.address, "STUDY", {**study, "PatientName": ""}).check()
    assert found.statuses == (0xFF00, 0x0000)
    assert [str(identifier.PatientName) for identifier in found.identifiers] == ["Phantom^Water"]

    moved = dcmtk.move(dcmqrscp.address, "DESTINATION", "STUDY", study).check()
    assert moved.status == 0
    assert moved.counters[-1] == {"remaining": None, "completed": 2, "failed": 0, "warning": 0}
    assert storescp.datasets().keys() == {sample.sop_instance_uid for sample in sent}

    fetched = dcmtk.get(dcmqrscp.address, tmp_path / "fetched", "STUDY", study).check()
    assert fetched.status == 0
    assert len(list((tmp_path / "fetched").iterdir())) == 2


def test_move_to_an_unknown_destination_shows_the_status(dcmtk: Dcmtk, tmp_path: Path) -> None:
    dcmqrscp = dcmtk.start_dcmqrscp()
    [sent] = files.make_small(tmp_path / "sent")
    dcmtk.store(dcmqrscp.address, sent.path).check()
    answer = dcmtk.move(dcmqrscp.address, "NOBODY", "STUDY", {"StudyInstanceUID": study_of(sent)})
    assert answer.status == 0xA801


def test_dcmdump_and_dcm2json(dcmtk: Dcmtk, tmp_path: Path) -> None:
    [sample] = files.make_small(tmp_path)
    assert f"[{sample.sop_instance_uid}]" in dcmtk.dump(sample.path)
    assert dcmtk.json(sample.path)["00080018"]["Value"] == [sample.sop_instance_uid]
    (tmp_path / "broken").write_bytes(b"not DICOM at all")
    with pytest.raises(PeerFailed):
        dcmtk.dump(tmp_path / "broken")


def test_gdcmscu_with_dcmqrscp(dcmtk: Dcmtk, gdcm: Gdcm, tmp_path: Path) -> None:
    itself = Address("GDCMSCU", free_port())
    dcmqrscp = dcmtk.start_dcmqrscp(remotes=[itself])
    [sent] = files.make_small(tmp_path / "sent")
    assert gdcm.echo(dcmqrscp.address).is_released

    assert gdcm.store(dcmqrscp.address, sent.path).statuses == (0,)
    study = {"20,d": study_of(sent)}
    assert gdcm.find(dcmqrscp.address, "STUDY", study).statuses == (0xFF00, 0x0000)
    moved = gdcm.move(dcmqrscp.address, tmp_path / "moved", "STUDY", study, port=itself.port)
    assert moved.statuses[-1] == 0
    assert [path.name for path in (tmp_path / "moved").iterdir()] == [f"{sent.sop_instance_uid}.dcm"]


def test_gdcmscu_refused(dcmtk: Dcmtk, gdcm: Gdcm) -> None:
    dcmqrscp = dcmtk.start_dcmqrscp()
    assert not gdcm.echo(dcmqrscp.address._replace(ae_title="NOBODY")).is_released


def test_orthanc_receives_and_sends(dcmtk: Dcmtk, orthanc: Orthanc, tmp_path: Path) -> None:
    storescp = dcmtk.start_storescp()
    orthanc.add_remote("storescp", storescp.address)
    orthanc.echo("storescp")
    dcmtk.echo(orthanc.address).check()

    sent = files.make_series(tmp_path / "series", 2, rows=32, columns=32)
    assert dcmtk.store(orthanc.address, tmp_path / "series").check().statuses == (0, 0)
    uids = [sample.sop_instance_uid for sample in sent]
    orthanc.wait_for_instances(uids)
    held = orthanc.instances()
    for sample in sent:
        assert orthanc.file(held[sample.sop_instance_uid]).endswith(sample.data_set())

    assert orthanc.store("storescp", [held[uid] for uid in uids])["FailedInstancesCount"] == 0
    assert storescp.datasets().keys() == set(uids)
    orthanc.clear()
    assert orthanc.instances() == {}


def test_orthanc_finds_and_retrieves(dcmtk: Dcmtk, orthanc: Orthanc, tmp_path: Path) -> None:
    dcmqrscp = dcmtk.start_dcmqrscp(remotes=[orthanc.address])
    orthanc.add_remote("archive", dcmqrscp.address)
    sent = files.make_small(tmp_path / "small", 3)
    dcmtk.store(dcmqrscp.address, tmp_path / "small").check()

    query, answers = orthanc.find("archive", "Study", {"PatientID": "PHANTOM-2", "StudyInstanceUID": ""})
    assert [answer["StudyInstanceUID"] for answer in answers] == [study_of(sent[0])]
    orthanc.retrieve(query)
    orthanc.wait_for_instances(sample.sop_instance_uid for sample in sent)

    orthanc.clear()
    orthanc.move("archive", "Study", [{"StudyInstanceUID": study_of(sent[0])}])
    orthanc.wait_for_instances(sample.sop_instance_uid for sample in sent)
    with pytest.raises(PeerFailed, match="HTTP|Orthanc"):
        orthanc.echo("nobody")


def test_orthanc_is_a_get_scp(dcmtk: Dcmtk, orthanc: Orthanc, tmp_path: Path) -> None:
    orthanc.add_remote("getscu", Address("GETSCU", free_port()))
    [sample] = files.make_small(tmp_path / "small")
    orthanc.upload(sample.path)
    answer = dcmtk.get(
        orthanc.address, tmp_path / "fetched", "STUDY", {"StudyInstanceUID": study_of(sample)}
    ).check()
    assert answer.status == 0
    assert [files.data_set_bytes(path) for path in (tmp_path / "fetched").iterdir()] == [sample.data_set()]


def test_samples_cover_the_transfer_syntaxes() -> None:
    samples = files.samples()
    assert len(samples) > 100
    assert len({sample.transfer_syntax_uid for sample in samples}) >= 10
    uids = [sample.sop_instance_uid for sample in files.distinct(samples)]
    assert len(uids) == len(set(uids)) == len({sample.sop_instance_uid for sample in samples})


@pytest.mark.parametrize("make", [files.make_series, files.make_small])
def test_made_images_are_valid(make, tmp_path: Path) -> None:
    requires("dicom3tools")
    samples = make(tmp_path, 2)
    assert samples[0].sop_instance_uid != samples[1].sop_instance_uid
    assert samples[0].data_set() != samples[1].data_set()
    errors = [
        line for line in run(["dciodvfy", samples[0].path]).output.splitlines() if line.startswith("Error")
    ]
    assert errors == []


def test_size_of_made_images(tmp_path: Path) -> None:
    [large] = files.make_series(tmp_path, 1)
    assert 525_000 < large.path.stat().st_size < 530_000
    [small] = files.make_small(tmp_path)
    assert 9_000 < small.path.stat().st_size < 11_000


def test_postgresql_programs() -> None:
    requires("postgresql")
    assert run(["initdb", "--version"]).check().output.startswith("initdb (PostgreSQL)")


def test_missing_peer_is_skipped_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules["tests.peers"].PROGRAMS, "absent", ("no-package", ("no-such-program",)))
    assert find_program("no-such-program") is None
    assert not is_installed("absent")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-package"):
        requires("absent")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-package"):
        requires("absent")


def test_server_that_ends_at_once_is_reported(tmp_path: Path) -> None:
    server = Server([sys.executable, "-c", "print('no licence'); raise SystemExit(3)"], log=tmp_path / "log")
    with pytest.raises(PeerFailed, match="exit code 3(.|\n)*no licence"):
        server.wait_for_port(Address("NOBODY", free_port()))
    assert server.stop() == 3


def test_server_line_and_stop(tmp_path: Path) -> None:
    server = Server(
        ["sh", "-c", "trap 'exit 7' TERM; echo ready 42; while :; do read line || :; done"],
        log=tmp_path / "log",
    )
    assert server.wait_for_line(r"ready (\d+)")[1] == "42"
    assert server.is_running()
    assert server.stop() == 7
    assert not server.is_running()


def test_run_kills_at_the_deadline() -> None:
    with pytest.raises(PeerFailed, match="no end after"):
        run([sys.executable, "-c", "import signal; signal.pause()"], timeout_s=0.5)
    with pytest.raises(PeerFailed, match="exit code 1"):
        run([sys.executable, "-c", "raise SystemExit(1)"]).check()


def test_wait_until_deadline() -> None:
    assert wait_until(lambda: "value") == "value"
    with pytest.raises(PeerFailed, match="the moon: not after"):
        wait_until(lambda: False, deadline_s=0.05, what="the moon")


def test_node_configuration(make_node: NodeFactory) -> None:
    node = make_node(options={"store.duplicates": "reject", "node.ae_title": "OTHER"}, clients=["CT1"])
    node.add_remote(Address("PACS2", 104, "10.0.0.5"), name="archive", allow=["store"])
    text = node.config.read_text()
    assert "[store]\nduplicates = reject\n" in text
    assert "ae_title = OTHER\n" in text
    assert "[ae CT1]\naddress = 127.0.0.1\nallow = echo, store, find, move, get, commit, mpps, process, print\n" in text
    assert "[ae archive]\naddress = 10.0.0.5:104\nallow = store\nae_title = PACS2\n" in text
    node.remove_remote("archive")
    assert "archive" not in node.config.read_text()
