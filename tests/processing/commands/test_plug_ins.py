"""A Python distribution brings a type of processing: it is installed into a folder, and performed by a worker."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medserver.codecs.workers import Workers
from medserver.errors import CannotProcess
from medserver.processing import types
from medserver.processing.types import all_types, find_type
from tests.peers import command_line
from tests.processing import phantoms
from tests.processing.conftest import WORKITEM, complaints

ENTRY_POINTS = """
[medserver.processing]
invert = clinic_types:INVERT
copy = clinic_types:COPY
strange = clinic_types:STRANGE
"""

MODULE = '''
from dataclasses import replace

from medserver.processing.parameters import Parameter
from medserver.processing.types import ProcessingType

INVERT = ProcessingType(
    name="invert", meaning="Inversion", version="3",
    parameters=(Parameter("top", "From", "integer", "1", 4095, 0, 65535),), scope="instance", modalities=("CT",),
    makes="an instance for each", is_partial=True, function="clinic_types:invert",
)
COPY = replace(INVERT, name="copy")  # one of ours has this name
STRANGE = "no type"


def invert(task):
    from medserver.processing.pixels.images import open_image
    from medserver.processing.pixels.results import Derivation, derived_image

    for number in task.numbers(len(task.sources)):
        with open_image(task.sources[number - 1], task.outputs) as image:
            pixels = (task.parameters["top"] - image.pixels()).astype("uint16")
            task.write(number, derived_image(task, number, image, Derivation("Inverted", (), "inverted")), pixels)
'''


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a distribution with types."""
    folder = tmp_path_factory.mktemp("plug-in")
    described = "clinic_types-1.0.dist-info"
    files = {
        "clinic_types.py": MODULE,
        f"{described}/METADATA": "Metadata-Version: 2.1\nName: clinic-types\nVersion: 1.0\n",
        f"{described}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{described}/entry_points.txt": ENTRY_POINTS,
    }
    files[f"{described}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{described}/RECORD"])
    wheel = folder / "clinic_types-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile", "--target"]
    done = subprocess.run([*command, str(folder / "site"), str(wheel)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture
def plug_ins(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(installed)
    types.plug_ins.cache_clear()
    yield
    types.plug_ins.cache_clear()
    sys.modules.pop("clinic_types", None)


@pytest.mark.usefixtures("plug_ins")
def test_its_type_is_one_of_all() -> None:
    assert find_type("invert").version == "3"
    assert find_type("copy").function == "medserver.processing.types.copy:copy"
    assert len(all_types()) == len(types.TYPES) + 1
    shown = command_line.invoke("processing", "show", "invert")
    assert shown.exit_code == 0 and "whole number 0 to 65535" in shown.stdout


@pytest.mark.usefixtures("plug_ins")
def test_a_worker_process_performs_it(tmp_path: Path) -> None:
    volume = np.random.default_rng(7).integers(0, 2000, (2, 24, 16)).astype(np.uint16)
    inputs = phantoms.write(tmp_path / "in", phantoms.ct_series(volume))
    outputs = tmp_path / "out"
    outputs.mkdir()
    with Workers(1, 2**31) as workers:
        arguments = ("medserver.processing.task:perform", "invert", os.fspath(inputs), os.fspath(outputs))
        assert workers.run(*arguments, {"top": 3000}, WORKITEM) == {"written": 2, "count": 2}
        with pytest.raises(CannotProcess, match="top is 70000"):
            workers.run(*arguments, {"top": 70000}, WORKITEM)
    made = [pydicom.dcmread(path) for path in sorted(outputs.glob("*.dcm"))]
    assert np.array_equal(np.stack([one.pixel_array for one in made]), 3000 - volume)
    assert [found for path in outputs.glob("*.dcm") for found in complaints(path)] == []
