"""What the manual shows of DICOMweb works as it is written."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from medserver.cli.manual import pages
from medserver.config import read_config
from medserver.web.routes import ROUTES
from tests.conftest import NodeFactory
from tests.peers import find_program, requires
from tests.peers.files import make_small
from tests.peers.node import REPOSITORY
from tests.peers.process import wait_until
from tests.web.test_process import ask, root_of

PAGE = pages()["web"]


def test_the_commands(make_node: NodeFactory, tmp_path: Path) -> None:
    if find_program("curl") is None:
        pytest.skip("curl is missing")
    requires("dcmtk")
    node = make_node(options={"web.enabled": "yes", "web.port": 0, "web.processes": 1, "node.processes": 1}).start()
    root = root_of(node)
    wait_until(lambda: ask(f"{root}/studies", {}), what="HTTP")
    image = make_small(tmp_path)[0].path
    image.rename(tmp_path / "image.dcm")
    dataset = pydicom.dcmread(tmp_path / "image.dcm", stop_before_pixels=True)
    names = {"STUDY": dataset.StudyInstanceUID, "SERIES": dataset.SeriesInstanceUID, "INSTANCE": dataset.SOPInstanceUID}
    outputs = []
    for command in re.findall(r"^   \$ (.*)$", PAGE, re.MULTILINE):
        command = command.replace("http://127.0.0.1:8080/dicom-web", root)
        for name, uid in names.items():
            command = re.sub(rf"/{name}\b", f"/{uid}", command)
        program = shlex.join([sys.executable, "-m", "medserver", "--config", str(node.config)])
        command = re.sub(r"^medserver", program.replace("\\", r"\\"), command)
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    _, stored, found, *_ = outputs
    assert json.loads(stored)["00081199"]["Value"][0]["00081155"]["Value"] == [dataset.SOPInstanceUID]
    assert json.loads(found)[0]["00100020"]["Value"] == ["PHANTOM-2"]
    assert b"DICM" in (tmp_path / "study.multipart").read_bytes()
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert node.stop() == 0


def test_every_route_stands_in_the_manual() -> None:
    table = PAGE.partition("Resources\n")[2].partition("\nA request needs")[0]
    for route in ROUTES:
        last = route.template.rpartition("/")[2]
        assert route.method in table and route.right in table and last.replace("{frames}", "{frame") in table, route


def test_the_configuration() -> None:
    config = read_config("[web]\nenabled = yes\n", base=REPOSITORY).config
    assert (config.web.enabled, config.web.address, config.web.port) == (True, "127.0.0.1", 8080)
    assert f"http://{config.web.address}:{config.web.port}/dicom-web" in PAGE
