"""A worker is killed while it compresses: what it did is done again, and every image stays what it was."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import RLELossless

from medserver.config import ConfigFile
from medserver.crash import VARIABLE
from medserver.node import open_node
from medserver.work.runner import Runner
from tests.archive.conftest import receive
from tests.peers.dcmtk import Dcmtk
from tests.peers.files import make_series
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.safekeeping.lost_pixels import compress_as_before, make_image, overlay

POINTS = ("compressed written", "compressed entered")
RETIRING = ("original released", "file deleted")
COUNT = 6


def work_until_killed(node: Node, point: str) -> None:
    """Run a worker that dies at a point."""
    completed = node.forked("worker", environment={VARIABLE: f"{point}:3"})
    assert completed.exit_code == -signal.SIGKILL, completed.output


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_while_pixels_are_brought_back(make_node: Callable[..., Node], tmp_path: Path, point: str) -> None:
    sample = make_image(tmp_path / "made", overlay)
    node = make_node()
    with closing(open_node(ConfigFile(node.config))) as opened:
        receive(opened, sample)
        expected = compress_as_before(opened, sample)
    killed = node.forked("store", "verify", "--pixels", environment={VARIABLE: point})
    assert killed.exit_code == -signal.SIGKILL, killed.output
    again = node.cli("store", "verify", "--pixels").check().output
    assert again.endswith(
        "1 image checked, 1 restored, 0 not restorable\n" if point == "compressed written"
        else "0 images checked, 0 restored, 0 not restorable\n"
    )  # fmt: skip
    with closing(open_node(ConfigFile(node.config))) as opened:
        [stored] = opened.index.select([])
        with opened.primary_volume.open(stored.path) as file:
            assert pydicom.dcmread(file).PixelData == expected
    assert node.cli("index", "check", "--digests").exit_code == 0


def pixels(folder: Path) -> dict[str, bytes]:
    datasets = [pydicom.dcmread(path) for path in folder.iterdir()]
    return {dataset.SOPInstanceUID: dataset.PixelData for dataset in datasets}


@pytest.mark.parametrize("point", (*POINTS, *RETIRING))
def test_a_kill_while_compressing(make_node: Callable[..., Node], dcmtk: Dcmtk, tmp_path: Path, point: str) -> None:
    series = make_series(tmp_path / "sent", COUNT, rows=64, columns=64)
    study = str(pydicom.dcmread(series[0].path, stop_before_pixels=True).StudyInstanceUID)
    node = make_node(options={"store.compress": "rle", "jobs.workers": 0}).start()
    dcmtk.store(node.address, tmp_path / "sent").check()
    assert node.stop() == 0
    work_until_killed(node, point)

    node.start(environment={"MEDSERVER__JOBS__WORKERS": "1"})

    def is_done() -> bool:
        jobs = json.loads(node.cli("store", "status", "--json").output)["jobs"]
        return not any(job["kind"] in ("compress", "retire", "remove") for job in jobs)

    wait_until(is_done, deadline_s=60, what="the end of compression and retirement")
    dcmtk.get(node.address, tmp_path / "plain", "STUDY", {"StudyInstanceUID": study}).check()
    assert pixels(tmp_path / "plain") == pixels(tmp_path / "sent")
    node.add_remote("COMPRESS", options={"transfer_syntaxes": "rle"})
    wanted = {"options": ["--prefer-rle"], "calling_ae_title": "COMPRESS"}
    dcmtk.get(node.address, tmp_path / "rle", "STUDY", {"StudyInstanceUID": study}, **wanted).check()
    assert {str(pydicom.dcmread(path).file_meta.TransferSyntaxUID) for path in (tmp_path / "rle").iterdir()} == {
        RLELossless
    }
    assert node.stop() == 0
    check = node.cli("index", "check", "--digests")
    assert check.exit_code == 0, check.output
    files = list((node.data / "store").glob("[0-9]*/**/*.dcm"))
    assert len(files) == COUNT  # the originals have been let go


def test_deleted_before_it_is_compressed_again(make_node: Callable[..., Node], tmp_path: Path) -> None:
    """The form that was written is one of what was deleted: the next start does not take it in."""
    [sample] = make_series(tmp_path / "sent", 1, rows=64, columns=64)
    node = make_node(options={"store.compress": "rle", "jobs.workers": 0}).start()
    assert node.stop() == 0
    with closing(open_node(ConfigFile(node.config))) as opened:
        receive(opened, sample, compress_to=RLELossless)
    completed = node.forked("worker", environment={VARIABLE: "compressed written"})
    assert completed.exit_code == -signal.SIGKILL, completed.output
    node.cli("jobs", "pause", "compress").check()
    uid = str(pydicom.dcmread(sample.path, stop_before_pixels=True).SOPInstanceUID)
    node.cli("store", "delete", uid, "--force", "--reason", "a test").check()
    with closing(open_node(ConfigFile(node.config))) as opened:
        while Runner(opened, periodic=()).run_due():
            pass
    assert list((node.data / "store").glob("[0-9]*/**/*.dcm")), "there is no form left"
    node.start()
    assert node.stop() == 0
    with closing(open_node(ConfigFile(node.config))) as opened:
        assert list(opened.index.select([])) == []
