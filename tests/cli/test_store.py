"""``medserver store``: what it prints, what it changes, and its errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pydicom
import pytest

from medserver.cli.text import size_in_words
from medserver.config import ConfigFile
from medserver.dicom.conditions import SingleValue
from medserver.dicom.syntax_names import SHORT_NAMES
from medserver.index import JobFilter
from medserver.node import Node, open_node
from medserver.work.kinds import JOB_KINDS
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.peers.files import Sample, make_series, make_small
from tests.safekeeping.conftest import flip, quick, root, run_all  # noqa: F401 - a fixture
from tests.safekeeping.lost_pixels import compress_as_before, make_image, overlay


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return make_small(tmp_path / "made", 6)


@pytest.fixture
def node(config_path: Path, samples, invoke) -> Iterator[Node]:
    """Give a node with a replica, to which six objects are to be copied."""
    config_path.write_text(config_path.read_text().replace("[node]", f"[node]\ndata = {config_path.parent}/data"))
    assert invoke("store", "add", "near", "--path", "near").exit_code == 0
    with closing(open_node(ConfigFile(config_path))) as opened:
        for sample in samples:
            receive(opened, sample)
        yield opened


@pytest.fixture
def kept(node: Node) -> Node:
    run_all(Runner(node, periodic=()))
    return node


def test_add_keeps_comments_and_the_primary_volume(config_path, invoke, tmp_path):
    before = config_path.read_text()
    result = invoke("store", "add", "near", "--path", str(tmp_path / "near"), "--free-min", "10 GiB")
    assert result.exit_code == 0, result.output
    assert "restart" in result.stdout
    assert config_path.read_text().startswith(before)
    config = ConfigFile(config_path).current
    assert [(one.name, one.role) for one in config.volumes] == [("main", "primary"), ("near", "replica")]
    assert config.volumes[0] == config.primary_volume
    assert config.volumes[1].free_min_bytes == 10 * 1024**3
    assert (tmp_path / "near" / "medserver-volume.json").is_file()
    again = invoke("store", "add", "near", "--path", str(tmp_path / "other"))
    assert again.exit_code == 2 and "already" in again.stderr
    assert invoke("store", "add", "far", "--url", "s3://bucket/prefix", "--role", "archive").exit_code == 0
    assert [one.name for one in ConfigFile(config_path).current.volumes] == ["main", "near", "far"]


@pytest.mark.parametrize("arguments", [[], ["--path", "a", "--url", "s3://bucket"]])
def test_add_wants_one_place(config_path, invoke, arguments):
    before = config_path.read_text()
    assert invoke("store", "add", "near", *arguments).exit_code == 2
    assert config_path.read_text() == before


def test_add_refuses_what_is_another_volume_and_tells_what_it_left(node, config_path, invoke):
    shutil.copytree(root(node, "near"), config_path.parent / "copied")
    result = invoke("store", "add", "second", "--path", str(config_path.parent / "copied"))
    assert result.exit_code == 2, result.output
    assert "it is the volume near of this archive" in result.stderr
    assert f"[volume second] is in {config_path} now" in result.stderr


def test_status_before_and_after_the_copies_are_made(node, invoke):
    result = invoke("store", "status")
    assert result.exit_code == 1
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[1][:3] + lines[1][5:8] == ["main", "primary", "ready", "6", "0", "0"]
    assert "6 with 1 good copy" in result.stdout
    assert "6 jobs waiting: replicate for near" in result.stdout
    run_all(Runner(node, periodic=()))
    result = invoke("store", "status")
    assert result.exit_code == 0
    assert "6 with 2 good copies" in result.stdout
    assert "no jobs" in result.stdout
    assert "the oldest unverified copy" in result.stdout


def test_a_volume_that_is_away_may_have_backups_and_keeps_its_jobs(kept, invoke):
    assert invoke("store", "detach", "near").exit_code == 0
    status = invoke("store", "status")
    assert "the newest backup of the index: none on the volumes that are there" in status.stdout
    assert "near is away, its jobs wait: it is detached" in invoke("store", "replicate", "near").stderr


def test_status_tells_of_the_newest_backup(kept, invoke):
    assert "the newest backup of the index: none" in invoke("store", "status").stdout
    assert invoke("backup", "create").exit_code == 0
    assert "the newest backup of the index: 0 s old" in invoke("store", "status").stdout
    made_at = json.loads(invoke("backup", "list", "--json").stdout)[0]["made_at"]
    assert json.loads(invoke("store", "status", "--json").stdout)["backed_up_at"] == made_at


def test_status_for_machines_tells_of_damage_and_of_a_volume_that_is_away(kept, invoke):
    copy = next(iter(kept.index.select([])))
    for name in ("main", "near"):
        flip(root(kept, name) / copy.path, -1)
    assert invoke("store", "verify").exit_code == 1
    shutil.rmtree(root(kept, "near"))
    result = invoke("store", "status", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["objects"], found["lost"], found["good_copies"]) == (6, 1, {"0": 1, "2": 5})
    assert [(one["name"], one["state"], one["bad"]) for one in found["volumes"]] == [
        ("main", "ready", 1), ("near", "away", 1),
    ]  # fmt: skip
    assert found["well"] is False
    assert "LOST: 1 object" in invoke("store", "status").stdout


def test_status_tells_what_the_originals_of_compressed_images_take(config_path, tmp_path, invoke):
    [image] = make_series(tmp_path / "image", 1, rows=64, columns=64)
    with closing(open_node(ConfigFile(config_path))) as node:
        receive(node, image, compress_to=SHORT_NAMES["rle"])
        assert "original" not in invoke("store", "status").stdout
        run_all(Runner(node, [kind for kind in JOB_KINDS if kind.name != "retire"], periodic=()))
    size = size_in_words(len(image.data_set()))
    assert f"  1 original of compressed images, {size} on each volume\n" in invoke("store", "status").stdout
    found = json.loads(invoke("store", "status", "--json").stdout)
    assert (found["objects"], found["originals"], found["originals_bytes"]) == (2, 1, len(image.data_set()))


def test_verify_finds_and_repair_repairs(kept, invoke):
    assert invoke("store", "verify").stdout == "nothing is wrong\n"
    copy = next(iter(kept.index.select([])))
    flip(root(kept, "near") / copy.path, -1)
    assert invoke("store", "verify", "main").exit_code == 0
    result = invoke("store", "verify", "near", "--rate", "1000")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"damaged: near:{copy.path}")
    assert "1 finding" in result.stdout
    assert json.loads(invoke("store", "verify", "--json").stdout) == []  # what is known to be bad is not read again
    result = invoke("store", "repair")
    assert result.exit_code == 0
    assert result.stdout == "1 repaired\n"
    assert invoke("store", "status").exit_code == 0
    assert invoke("store", "verify", "--sample", "50").stdout == "nothing is wrong\n"


def test_verify_brings_lost_pixels_back(config_path, tmp_path, invoke):
    image, other, well = (make_image(tmp_path / name, overlay) for name in ("image", "other", "well"))
    dataset = pydicom.dcmread(well.path)
    dataset.PixelData = bytes(len(dataset.PixelData))
    dataset.save_as(well.path)
    with closing(open_node(ConfigFile(config_path))) as node:
        for one in (image, other, well):
            receive(node, one, compress_to=SHORT_NAMES["rle"])  # which refuses the first two
        run_all(Runner(node, periodic=()))
        assert invoke("store", "verify", "--pixels").stdout == "1 image checked, 0 restored, 0 not restorable\n"
        pixels = compress_as_before(node, image)
        result = invoke("store", "verify", "--pixels")
        assert result.exit_code == 0
        told = f"restored: {image.sop_instance_uid}: the pixels are not what was compressed"
        assert result.stdout.splitlines() == [told, "2 images checked, 1 restored, 0 not restorable"]
        assert invoke("store", "verify").stdout == "nothing is wrong\n"
        [stored] = node.index.select([SingleValue("SOPInstanceUID", image.sop_instance_uid)])
        with node.primary_volume.open(stored.path) as file:
            assert pydicom.dcmread(file).PixelData == pixels
        compress_as_before(node, other, native=bytes(len(pixels)))
        for one in node.index.duplicates():
            node.index.mark_location(one.volume, one.path, "bad")
        result = invoke("store", "verify", "--pixels")
        assert result.exit_code == 1
        assert result.stdout.splitlines()[-1] == "2 images checked, 0 restored, 1 not restorable"
        result = invoke("store", "verify", "--pixels", "--json")
        assert result.exit_code == 1
        found = json.loads(result.stdout)
        assert found["checked"] == 2
        [lost] = found["not_as_they_were"]
        assert (lost["sop_instance_uid"], lost["state"]) == (other.sop_instance_uid, "not restorable")
    assert invoke("store", "verify", "--pixels", "main").exit_code == 2


def test_an_interrupted_verification_goes_on(kept, invoke):
    begun = kept.clock().isoformat()
    first, *_ = kept.index.locations(("near", ""))
    kept.index.upkeep.note_verified([first], kept.clock())
    kept.index.progress.set("verify:near", begun)
    flip(root(kept, "near") / first.path, -1)
    assert invoke("store", "verify", "near").exit_code == 0  # it had been read before
    assert kept.index.progress.get("verify:near") is None
    assert invoke("store", "verify", "near").exit_code == 1


def test_what_cannot_be_repaired_is_said(kept, invoke):
    copy = next(iter(kept.index.select([])))
    for name in ("main", "near"):
        flip(root(kept, name) / copy.path, -1)
    invoke("store", "verify")
    result = invoke("store", "repair")
    assert result.exit_code == 1
    assert result.stdout == "0 repaired, 2 not\n"
    assert "no good copy" in result.stderr
    flip(root(kept, "near") / copy.path, -1)
    result = invoke("store", "repair")  # main comes first, when nobody has seen yet that near is whole again
    assert (result.exit_code, result.stdout) == (1, "1 repaired, 1 not\n")
    assert invoke("store", "repair").exit_code == 0
    assert invoke("store", "status").exit_code == 0


def test_replicate_queues_what_is_missing_once(node, invoke):
    node.index.jobs.drop([job.id for job in node.index.jobs.list()])
    for _ in range(2):
        result = invoke("store", "replicate")
        assert result.stdout.splitlines()[0] == "near: 6 copies queued"
    result = invoke("store", "replicate", "near", "--now")
    assert result.stdout == "6 copies made\n"
    assert invoke("store", "replicate", "elsewhere").exit_code == 2


def test_a_lost_primary_comes_back(kept, invoke, samples):
    shutil.rmtree(root(kept, "main"))
    assert invoke("store", "replicate").exit_code == 0
    assert not root(kept, "main").exists()
    assert invoke("store", "replicate", "main").exit_code == 0
    assert not root(kept, "main").exists()
    result = invoke("store", "replicate", "main", "--anew", "--now")
    assert result.exit_code == 0, result.output
    assert result.stdout == "6 copies made\n"
    kept.watch.look()
    run_all(Runner(kept, periodic=()))
    assert invoke("store", "status").exit_code == 0
    assert invoke("index", "check", "--digests").exit_code == 0


def test_delete_wants_force_and_a_reason_is_kept(kept, invoke, samples):
    uid = samples[0].sop_instance_uid
    result = invoke("store", "delete", uid)
    assert result.exit_code == 2
    assert "last verified copy of 1 object" in result.stderr
    assert list(kept.index.jobs.list()) == []
    result = invoke("store", "delete", uid, "--force", "--reason", "wrong patient")
    assert result.exit_code == 0
    [job] = kept.index.jobs.list(JobFilter("delete"))
    assert job.payload["reason"] == "wrong patient"
    run_all(Runner(kept, periodic=()))
    assert kept.index.counts().instances == 5
    again = invoke("store", "delete", uid, "--force")
    assert again.exit_code == 66
    assert uid in again.stderr
    assert invoke("store", "delete", "no uid", "--force").exit_code == 2
    study = next(iter(kept.index.select([]))).study_instance_uid
    assert "5 objects" in invoke("store", "delete", study, "--force").stdout


def test_drain(kept, invoke):
    assert invoke("store", "drain", "main").exit_code == 2
    assert invoke("store", "drain", "near").exit_code == 0
    run_all(Runner(kept, periodic=()))
    assert list(kept.volumes["near"].walk()) == []
    assert "draining" in invoke("store", "status").stdout
    assert "near: 6 copies queued" in invoke("store", "drain", "near", "--cancel").stdout
    assert invoke("store", "status").exit_code == 1
    run_all(Runner(kept, periodic=()))
    assert len(list(kept.volumes["near"].walk())) == 6
