"""What the node keeps belongs to its owner and group, whatever umask it is started with."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless

from tests.peers.files import make_series
from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.services.client import Client
from tests.services.corpus import make_study

FILE, DIRECTORY = 0o640, 0o750
LARGE_BYTES = 2 * 1024 * 1024
"""More than goes into the journal."""


def modes(root: Path) -> dict[str, int]:
    """Return the modes of everything below a directory, and its own."""
    found = {}
    for path in (root, *root.rglob("*")):
        try:
            found[str(path.relative_to(root.parent))] = stat.S_IMODE(path.lstat().st_mode)
        except FileNotFoundError:  # a temporary file
            continue
    return found


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_nobody_else_reads_what_it_makes(make_node: Callable[..., Node], tmp_path: Path, umask: int) -> None:
    node = make_node(options={"volume near.path": "near", "volume near.role": "replica"}).start(umask=umask)
    client = Client(node.address)
    [small] = make_series(tmp_path / "made", 1, rows=64, columns=64)
    [large] = make_study(1, PixelData=bytes(LARGE_BYTES))
    assert client.store(small, large) == [0, 0]
    study = {"StudyInstanceUID": pydicom.dcmread(small.path).StudyInstanceUID}
    assert client.get("STUDY", study, [(small.sop_class_uid, JPEG2000Lossless)]).status == 0
    node.cli("backup", "create").check()
    wait_until(lambda: len(list(node.data.glob("near/[0-9]*/**/*.dcm"))) == 2, what="the copies")
    wait_until(lambda: len(list(node.data.glob("store/[0-9]*/**/*.dcm"))) == 2, what="the objects in their place")
    found = modes(node.data)
    made = {path.split("/")[1] for path in found if "/" in path}
    assert made >= {"index.db", "index.db-wal", "index.db-shm", "lock", "store", "near", "transcoded", "unfinished"}
    assert {path: oct(mode) for path, mode in found.items() if mode not in (FILE, DIRECTORY)} == {}
    assert all(mode == DIRECTORY for path, mode in found.items() if (node.data.parent / path).is_dir())


def test_a_start_closes_what_is_open_to_others(make_node: Callable[..., Node]) -> None:
    node = make_node(options={"jobs.workers": 0}).start()
    assert Client(node.address).store(*make_study(1)) == [0]
    assert node.stop() == 0
    wide = [node.data, node.data / "store", node.data / "lock", node.data / "index.db"]
    for path in wide:
        path.chmod(0o777 if path.is_dir() else 0o666)
    node.start()
    assert [stat.S_IMODE(path.stat().st_mode) for path in wide] == [DIRECTORY, DIRECTORY, FILE, FILE]
    assert "closed_to_others" in node.output


def test_a_start_leaves_the_rest_as_it_is(make_node: Callable[..., Node], tmp_path: Path) -> None:
    """What is narrower stays so; a folder in which others have something is not closed, nor what belongs to them."""
    node = make_node(options={"jobs.workers": 0}).start()
    assert node.stop() == 0
    foreign, outside = node.data / "of somebody else.txt", tmp_path / "outside"
    foreign.touch()
    outside.mkdir()
    os.symlink(outside, node.data / "index.db.link")
    for path, mode in ((node.data, 0o755), (foreign, 0o644), (outside, 0o755), (node.data / "index.db", 0o600)):
        path.chmod(mode)
    node.start()
    kept = [stat.S_IMODE(path.stat().st_mode) for path in (node.data, foreign, outside, node.data / "index.db")]
    assert kept == [0o755, 0o644, 0o755, 0o600]


def test_what_is_made_is_of_the_group_that_the_folder_above_gives(
    make_node: Callable[..., Node], tmp_path: Path
) -> None:
    """With the set-group-ID bit an administrator lets a group read all that is ever made in a folder."""
    node = make_node(options={"jobs.workers": 0, "volume main.path": "store"})
    node.data.mkdir(exist_ok=True)
    node.data.chmod(0o2750)
    node.start()
    assert Client(node.address).store(*make_study(1)) == [0]
    made = {path.relative_to(node.data): path for path in node.data.rglob("*") if path.is_dir()}
    assert Path("store/journal") in made
    assert {str(name): oct(path.stat().st_mode & 0o7777) for name, path in made.items()} == dict.fromkeys(
        map(str, made), oct(0o2750)
    )
