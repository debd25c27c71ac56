"""How ``0015.tar.xz`` was made: an archive with rows in every table of schema 0015, by the program that had it.

Run with commit 88624f5, the last one with that schema, and the extra ``codecs``:

    git worktree add /tmp/before 88624f5 && cd /tmp/before && PYTHONPATH=. python .../make_0015.py /tmp/kept

`Maker.image` numbers the instances: their SOP Instance UIDs end with that.
"""

from __future__ import annotations

import sys
import tarfile
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pydicom
from medserver import archive
from medserver.archive.damage import report_damage
from medserver.archive.follow_ups import removal_job
from medserver.archive.performed_steps import write_step
from medserver.config import ConfigFile
from medserver.dicom.storage_commitment import Reference
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN
from medserver.index import JobFilter, NewCommitment, NewJob
from medserver.index.nodes.records import NodeRecord, Serves
from medserver.node import Node, open_node
from medserver.safekeeping.deletion import order_deletion
from medserver.safekeeping.drained import set_draining
from medserver.safekeeping.pixels import verify_all_pixels
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.clock import Clock
from tests.hurry import hurried
from tests.peers.files import Sample, make_series
from tests.safekeeping.lost_pixels import compress_as_before, no_sign, overlay

ROOT = "1.2.826.0.1.3680043.10.1.15"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
CONFIG = """\
[node]
data = data

[volume main]
path = store
role = primary

[volume near]
path = near
role = replica

[ae pacs]
ae_title = PACS
address = 127.0.0.1:1
allow = find, commit
must_commit = yes

[route at once]
to = pacs
PatientID = ROUTED

[route later]
to = pacs
when = study
quiet = 1 h
PatientID = HELD

[route news]
to = pacs
send = availability
PatientID = NEWS
"""


class Maker:
    """Receives images and does things to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock(datetime(2026, 1, 31, 12, 0, 7, 250_000, tzinfo=UTC))
        (folder / "config.ini").write_text(CONFIG)
        (folder / "data").mkdir()
        (folder / "data" / "node").write_text("6f9619ff-8b86-4011-b42d-00c04fc964ff\n")
        self.node = self._open()
        self.replacing = self._open("store.duplicates=replace")
        self.rejecting = self._open("store.duplicates=reject")
        self.worker = Runner(self.node, periodic=())

    def _open(self, *options: str) -> Node:
        data = self.folder / "data"
        volumes = [f"volume main.path={data / 'store'}", f"volume near.path={data / 'near'}"]
        overrides = (f"node.data={data}", *volumes, *options)
        return open_node(ConfigFile(self.folder / "config.ini", overrides), clock=self.clock)

    def image(self, number: int, *, patient: str = "", change=None, **values) -> Sample:
        """Write an image; the same number is the same SOP Instance."""
        folder = self.folder / "made" / f"{number}-{len(list((self.folder / 'made').glob('*')))}"
        [sample] = make_series(folder, 1, rows=64, columns=64, patient_id=patient or f"P{number}")
        dataset = pydicom.dcmread(sample.path)
        dataset.StudyInstanceUID = f"{ROOT}.1.{number}"
        dataset.SeriesInstanceUID = f"{ROOT}.2.{number}"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.3.{number}"
        dataset.FrameOfReferenceUID = f"{ROOT}.4.{number}"
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        if change is not None:
            import numpy

            dataset.PixelData = change(dataset, numpy.frombuffer(dataset.PixelData, "<u2").copy()).tobytes()
        dataset.save_as(sample.path, enforce_file_format=True)
        return Sample(sample.path, sample.sop_class_uid, dataset.SOPInstanceUID, EXPLICIT_VR_LITTLE_ENDIAN)

    def take(self, sample: Sample, *, at: Node | None = None, **announced) -> str:
        """Receive an image, a while after the last one."""
        self.clock.advance(37.5)
        return receive(at or self.node, sample, **announced)

    def run(self, *kinds: str) -> None:
        """Run the jobs of some kinds until there are none."""
        for _ in range(50):
            ran = False
            for job in list(self.node.index.jobs.list(JobFilter())):
                if job.kind in kinds:
                    ran = True
            if not ran:
                return
            pause = {job.kind for job in self.node.index.jobs.list(JobFilter())} - set(kinds)
            for kind in pause:
                self.node.index.jobs.pause(kind, "")
            while self.worker.run_due():
                pass
            for kind in pause:
                self.node.index.jobs.resume(kind, "")
        raise RuntimeError("jobs do not end")

    def copies(self, number: int) -> list:
        """Return what lies under a SOP Instance UID."""
        uid = f"{ROOT}.3.{number}"
        return [one for one in self.node.index.locations() if one.sop_instance_uid == uid]

    def current(self, number: int):
        return self.node.index.instances([f"{ROOT}.3.{number}"])[f"{ROOT}.3.{number}"]

    def compress(self, number: int) -> None:
        current = self.current(number)
        [first, *_] = self.node.index.copies_of(current)
        if not archive.compress_object(self.node, first, JPEG_2000):
            raise RuntimeError(f"{number} is not compressed")

    def delete_asides(self, number: int) -> None:
        """Delete what is put aside, as earlier versions did with originals."""
        uid = f"{ROOT}.3.{number}"
        aside = [one for one in self.node.index.duplicates() if one.sop_instance_uid == uid]
        order_deletion(self.node, aside, by="somebody", reason="the original is not needed")
        self.run("delete", "remove")

    def settle(self) -> None:
        """Make all copies."""
        self.clock.advance(1)
        self.run("replicate")


def tell(maker: Maker) -> None:
    """Do everything."""
    as_received(maker)
    compressed(maker)
    deleted(maker)
    compressed_and_more(maker)
    node = maker.node
    node.index.upkeep.note_verified(list(node.index.locations())[:5], maker.clock())
    beside(maker)
    waiting(maker)


def as_received(maker: Maker) -> None:
    """Receive."""
    image, take = maker.image, maker.take
    take(image(1))
    take(image(1 + 100, patient="P1", PatientName="Somebody^Else"))  # a conflict about the patient
    take(image(2))
    take(image(2, ImageComments="kept"))
    take(image(2, ImageComments="kept as well", PatientName="Never^Seen"), calling_ae_title="MR1")
    take(image(3))
    replaced = image(3, ImageComments="better", SeriesInstanceUID=f"{ROOT}.2.3.9", PatientName="Better^Name")
    take(replaced, at=maker.replacing)
    take(image(4))
    with suppress(Exception):
        take(image(4, ImageComments="rejected"), at=maker.rejecting)
    take(image(5))
    maker.place_all()


def compressed(maker: Maker) -> None:
    """Compress, and restore what was compressed wrongly."""
    node, image, take = maker.node, maker.image, maker.take
    maker.compress(5)
    take(image(6))
    maker.place_all()
    maker.compress(6)
    maker.place_all()
    maker.delete_asides(6)
    for number, change in ((7, overlay), (8, overlay), (9, no_sign)):
        sample = image(number, change=change)
        take(sample)
        maker.place_all()
        compress_as_before(node, sample)
        maker.place_all()
        if number != 7:
            maker.delete_asides(number)
    maker.clock.advance(3600)
    states = [check.state.value for check in verify_all_pixels(node)]
    if states.count("restored") != 3:
        raise RuntimeError(f"not restored: {states}")
    maker.place_all()
    maker.clock.advance(60)
    sample = image(10)
    take(sample)
    maker.place_all()
    maker.compress(10)
    take(image(10, ImageComments="the second"), at=maker.replacing)
    take(image(11))
    maker.place_all()
    maker.compress(11)
    take(image(11, ImageComments="beside the compressed one"))


def deleted(maker: Maker) -> None:
    """Delete, and receive what is damaged or deleted later."""
    node, image, take = maker.node, maker.image, maker.take
    take(image(12))
    maker.place_all()
    order_deletion(node, [maker.current(12)], by="somebody", reason="sent by mistake")
    maker.run("delete", "remove")
    sample = image(13)
    take(sample)
    order_deletion(node, [maker.current(13)], by="somebody", reason="sent by mistake")
    maker.place_all()
    maker.run("delete", "remove")
    take(sample)
    take(image(14))
    take(image(14, ImageComments="to be deleted as well"))
    take(image(15))
    take(image(16))
    take(image(17))
    take(image(17, ImageComments="the only one left"))


def compressed_and_more(maker: Maker) -> None:
    """Compress, restore and replace."""
    node, image, take = maker.node, maker.image, maker.take
    sample = image(18, change=overlay)
    take(sample)
    maker.place_all()
    compress_as_before(node, sample)
    maker.clock.advance(60)
    take(image(18, ImageComments="in front of a compressed form that is wrong"), at=maker.replacing)
    take(image(19))
    maker.compress(19)
    take(image(20))
    take(image(21))
    take(image(21, ImageComments="replaces"), at=maker.replacing)
    take(image(21))  # the first comes again, and stays aside
    take(image(22, PatientID="", PatientName="No^Number"))
    take(image(23, PatientID="", PatientName="No^Number"))
    maker.place_all()
    if len([one for one in verify_all_pixels(node) if one.state.value == "restored"]) != 1:
        raise RuntimeError("18 is not restored")
    maker.place_all()
    sample = image(24)
    take(sample)
    maker.compress(24)
    maker.place_all()
    maker.delete_asides(24)
    take(image(24, ImageComments="instead of a compressed form without its original"), at=maker.replacing)
    maker.place_all()
    take(image(25))
    take(image(25, ImageComments="the only one left, and to be deleted"))
    sample = image(26, change=overlay)
    take(sample)
    compress_as_before(node, sample)
    maker.clock.advance(60)
    list(verify_all_pixels(node))
    maker.place_all()
    maker.clock.advance(60)
    compress_as_before(node, sample, bytes(64 * 64 * 2))  # what was restored
    maker.place_all()
    take(image(27, change=overlay, ImageComments="in the original alone, so that what is restored is another object"))
    compress_as_before(node, image(27, change=overlay))
    maker.delete_asides(27)
    sample = image(28, change=no_sign)
    take(sample)
    compress_as_before(node, sample)
    maker.delete_asides(28)
    maker.clock.advance(60)
    list(verify_all_pixels(node))
    maker.delete_asides(28)  # the wrong form
    maker.place_all()


def beside(maker: Maker) -> None:
    """Fill the tables that are not about objects."""
    node, index, clock = maker.node, maker.node.index, maker.clock
    [first, *_] = index.conflicts()
    index.resolve_conflict(first.number, "somebody", "two people share a number")
    index.note_unknown_caller("STRANGER", "MEDSERVER", "192.0.2.7")
    index.note_unknown_caller("STRANGER", "MEDSERVER", "192.0.2.7")
    named = (maker.current(1), maker.current(2))
    references = tuple(Reference(one.sop_class_uid, one.sop_instance_uid) for one in named)
    for number, role in enumerate(("scp", "scp", "scu")):
        accepted = index.commitments.accept(
            NewCommitment(role, f"2.25.{number}", "PACS", "pacs", references, held=number == 0),
            lambda stored: NewJob("commit", {"commitment": stored}, destination="pacs"), 10,
        )  # fmt: skip
        if number == 1:
            index.commitments.finish_check(accepted.number)
    content = '{"00400340":{"vr":"SQ","Value":[{"0020000E":{"vr":"UI","Value":["%s.2.1"]}}]}}' % ROOT
    index.performed_steps.add(f"{ROOT}.9.1", "IN PROGRESS", content, "CT1", [f"{ROOT}.1.1"])
    index.performed_steps.add(f"{ROOT}.9.2", "COMPLETED", content, "CT1", [f"{ROOT}.1.2"])
    for step in index.performed_steps.all():
        write_step(node, step)
    database = index.backend.database  # as N-SET does
    with database.connection_context():
        for step in ("9.1", "9.2"):
            database.execute_sql(f"INSERT INTO performed_step_series VALUES ('{ROOT}.{step}', '{ROOT}.2.1')")
    index.completions.note("association", [f"{ROOT}.1.1"], clock(), ())
    index.progress_set("poll:pacs", '{"done": 3}')
    index.progress_set("verify:main", "2026/01/31/1200")
    set_draining(node, "near", True)
    serves = Serves({"main": "3", "near": "4"}, "main", 1, 2)
    index.nodes.register(NodeRecord("6f9619ff-8b86-4011-b42d-00c04fc964ff", "archive", "boot", "serve", serves))


def waiting(maker: Maker) -> None:
    """Leave jobs of every kind, and damage that they are to mend."""
    node, index, image, take = maker.node, maker.node.index, maker.image, maker.take
    for number, patient in ((30, "ROUTED"), (31, "HELD"), (32, "NEWS")):
        take(image(number, patient=patient))
    add = index.add_jobs
    uid = f"{ROOT}.3.30"
    add([
        NewJob("route", {"sop_instance_uid": uid, "digest": maker.current(30).digest, "from": "CT1"}),
        NewJob("confirm", {"sop_instance_uid": uid, "route": "at once", "sent": 1}, destination="pacs"),
        NewJob("release", {"study_instance_uid": f"{ROOT}.1.31"}),
        NewJob("route_step", {"sop_instance_uid": f"{ROOT}.9.2"}),
        NewJob("forward_step", {"sop_instance_uid": f"{ROOT}.9.2", "route": "at once"}, destination="pacs"),
        NewJob("commit_report", {"commitment": 2}, destination="pacs"),
        NewJob("commit_prune"), NewJob("conditions"), NewJob("poll_survey"), NewJob("backup_survey"),
        NewJob("poll", {"poll": "pacs"}, destination="pacs"), NewJob("backup"),
        NewJob("survey"), NewJob("seek", destination="near"), NewJob("verify", destination="main"),
        NewJob("drain", destination="near"), NewJob("retire"),
    ])  # fmt: skip
    # 12 was deleted, and a file of it has turned up since: nothing but the tombstone knows it.
    [gone] = [one for one in index.tombstones.all() if one.sop_instance_uid.endswith(".3.12")]
    lost = node.primary_volume.root / "2026/01/31/1259" / f"{gone.digest}.dcm"
    add([removal_job("main", [str(lost.relative_to(node.primary_volume.root))])])
    copy_12(maker, lost)
    current = maker.current(20)
    [copy] = [one for one in maker.copies(20) if one.volume == "main"]
    add([NewJob("compress", {"volume": "main", "path": copy.path, "to": JPEG_2000}, priority=0)])
    assert current.digest == copy.digest
    order_deletion(node, [maker.current(14)], by="somebody", reason="not yet done")
    aside = [one for one in index.duplicates() if one.sop_instance_uid.endswith(".3.2")]
    order_deletion(node, aside[:1], by="somebody", reason="one of two that are aside")
    # A copy that is bad, and one that is gone.
    [bad] = [one for one in maker.copies(15) if one.volume == "near"]
    file = Path(node.volumes["near"].root) / bad.path
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    report_damage(node, "near", bad.path, "the test has changed it")
    [missing] = [one for one in maker.copies(16) if one.volume == "main"]
    (Path(node.primary_volume.root) / missing.path).unlink()
    report_damage(node, "main", missing.path, "the test has removed it")
    # The instance is lost, what was aside is not.
    aside = [one for one in index.duplicates() if one.sop_instance_uid.endswith(".3.25")]
    order_deletion(node, aside, by="somebody", reason="it was aside")
    for number in (17, 25):
        for copy in node.index.copies_of(maker.current(number)):
            (Path(node.volumes[copy.volume].root) / copy.path).unlink()
            index.remove_location(copy.volume, copy.path)
    index.jobs.pause("confirm", "")
    index.jobs.pause("deliver", "pacs")
    database = index.backend.database  # as a worker leaves them that was killed, and one that has given up
    with database.connection_context():
        database.execute_sql(
            "UPDATE jobs SET state = 'running', owner = 'archive:boot:1:2:3', attempts = 1, "
            "lease_until = '2026-01-31T13:00:00.000000+00:00' WHERE kind = 'release'"
        )
        database.execute_sql(
            "UPDATE jobs SET state = 'dead', attempts = 20, last_error = 'it was refused' WHERE kind = 'forward_step'"
        )
        database.execute_sql("INSERT INTO job_schedule VALUES ('survey', '2026-01-31T14:00:00.000000+00:00')")
        database.execute_sql(
            "UPDATE job_lanes SET rests_until = '2026-01-31T14:00:00.000000+00:00', rest_reason = 'cannot be reached', "
            "failures = 3 WHERE kind = 'notify'"
        )


def copy_12(maker: Maker, target: Path) -> None:
    """Put the file of a deleted instance into the store once more, as a volume that was away brings it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    [source] = [path for path in (maker.folder / "made").glob("12-*/*.dcm")]
    target.write_bytes(source.read_bytes())


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir()
    with hurried():
        maker = Maker(folder)
        with closing(maker.node), closing(maker.replacing), closing(maker.rejecting):
            tell(maker)
            database = maker.node.index.backend.database
            with database.connection_context():
                database.execute_sql("VACUUM")
                tables = [name for name in database.get_tables() if not name.startswith("huey")]
                for name in sorted(tables):
                    print(name, database.execute_sql(f'SELECT COUNT(*) FROM "{name}"').fetchall()[0][0])
                print([row[0] for row in database.execute_sql("SELECT DISTINCT kind FROM jobs ORDER BY 1").fetchall()])

    def kept(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return None if info.name.endswith(("/lock", "/journal", "/incoming")) else info

    with tarfile.open(folder / "0015.tar.xz", "w:xz", preset=9) as tar:
        tar.add(folder / "config.ini", "config.ini", filter=kept)
        tar.add(folder / "data", "data", filter=kept)
    print((folder / "0015.tar.xz").stat().st_size)


if __name__ == "__main__":
    main()
