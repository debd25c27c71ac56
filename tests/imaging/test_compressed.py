"""Compressed samples: decoded by our codecs and rendered here, decoded and rendered by DCMTK."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from medserver.codecs import Workers
from medserver.imaging import PixelRange, Rendering
from tests.imaging.images import by_program
from tests.imaging.test_pictures import of_file, pixels
from tests.peers import requires
from tests.samples import paths

PROGRAMS = {
    "1.2.840.10008.1.2.4.50": "dcmj2pnm",
    "1.2.840.10008.1.2.4.51": "dcmj2pnm",
    "1.2.840.10008.1.2.4.70": "dcmj2pnm",
    "1.2.840.10008.1.2.4.80": "dcml2pnm",
    "1.2.840.10008.1.2.4.81": "dcml2pnm",
    "1.2.840.10008.1.2.5": "dcm2pnm",
}
"""Transfer Syntax UID -> which program of DCMTK decodes it."""

NOT_READ = ("SC_rgb_jpeg.dcm",)
"""Its file meta information is in Implicit VR, which DCMTK does not read."""


def of_a_program() -> list[Path]:
    heads = {path: pydicom.dcmread(path, specific_tags=["Rows"]) for path in paths()}
    return [
        path
        for path, head in heads.items()
        if head.file_meta.get("TransferSyntaxUID") in PROGRAMS and "Rows" in head and path.name not in NOT_READ
    ]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(1, time_max_s=20.0) as workers:
        yield workers


def test_there_are_samples() -> None:
    assert len(of_a_program()) > 25


@pytest.mark.parametrize("path", of_a_program(), ids=lambda path: path.name)
def test_the_samples(path: Path, workers: Workers, tmp_path: Path) -> None:
    requires("dcmtk")
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    options, dcmtk_options = Rendering(square_pixels=False), []
    if "WindowCenter" in dataset:
        dcmtk_options = ["--use-window", "1"]
    elif dataset.BitsStored > 8 and dataset.SamplesPerPixel == 1:
        options, dcmtk_options = Rendering(voi=PixelRange(), square_pixels=False), ["--min-max-window"]
    program = PROGRAMS[dataset.file_meta.TransferSyntaxUID]
    theirs = by_program(program, path, tmp_path, *dcmtk_options).astype(int)
    assert np.abs(theirs - pixels(of_file(path.read_bytes()), workers, 0, options)).max() <= 1
