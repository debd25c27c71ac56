"""``medserver render``: files and stored instances become pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from click.testing import Result
from PIL import Image

from medserver.imaging import Rendering, Text, Window, render
from tests.imaging.images import image, item
from tests.imaging.states import state
from tests.peers.dcmtk import Dcmtk
from tests.peers.node import Node

Render = Callable[..., Result]


@pytest.fixture
def run(invoke) -> Render:
    """Give a function that runs ``medserver render`` in this process."""
    return lambda *arguments: invoke("render", *map(str, arguments))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give a file with two frames."""
    cells = np.random.default_rng(2).integers(-1000, 2000, (2, 40, 60)).astype("i2")
    dataset = image(cells, WindowCenter=["40", "300"], WindowWidth=["400", "2000"])
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.save_as(tmp_path / "image.dcm", enforce_file_format=True)
    return tmp_path / "image.dcm"


def shown(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_file_becomes_a_picture(path: Path, tmp_path: Path, run: Render) -> None:
    result = run(path, "-o", tmp_path / "a.png")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"wrote {tmp_path / 'a.png'}: 40 rows, 60 columns, 8 bits, gray\n"
    assert np.array_equal(shown(tmp_path / "a.png"), render(pydicom.dcmread(path)).pixels)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.png", "config.ini", "image.dcm"]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--window", "100,300"], Rendering(voi=Window(100, 300))),
        (["--window", "100,300,sigmoid"], Rendering(voi=Window(100, 300, "SIGMOID"))),
        (["--window", "-10.5,3,linear-exact"], Rendering(voi=Window(-10.5, 3, "LINEAR_EXACT"))),
        (["--stored-window", 2, "--invert"], Rendering(voi=Window(300, 2000), is_inverted=True)),
        (["--size", "80x200", "--interpolation", "nearest"], Rendering(size=(80, 200), interpolation="nearest")),
        (["--bits", 16], Rendering(bits=16)),
        (["--markers"], Rendering(markers=True)),
        (["--text", "top-left=Doe"], Rendering(texts=(Text("top left", ("Doe",)),))),
    ],
)
def test_the_options_say_how(
    path: Path, tmp_path: Path, run: Render, arguments: list[object], options: Rendering
) -> None:
    result = run(path, "-o", tmp_path / "a.png", "--frame", 2, *arguments)
    assert result.exit_code == 0, result.stderr
    assert np.array_equal(shown(tmp_path / "a.png"), render(pydicom.dcmread(path), 1, options).pixels)


def test_a_presentation_state(path: Path, tmp_path: Path, run: Render) -> None:
    dataset = pydicom.dcmread(path)
    one = state(dataset, SoftcopyVOILUTSequence=[item(WindowCenter=0, WindowWidth=900)], ImageRotation=90)
    one.save_as(tmp_path / "state.dcm", enforce_file_format=True)
    assert run(path, "-o", tmp_path / "a.png", "--state", tmp_path / "state.dcm").exit_code == 0
    assert shown(tmp_path / "a.png").shape == (60, 40)
    one.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = "2.25.99"
    one.save_as(tmp_path / "state.dcm", enforce_file_format=True)
    result = run(path, "-o", tmp_path / "b.png", "--state", tmp_path / "state.dcm")
    assert result.exit_code == 65 and "does not refer" in result.stderr


def test_json_and_jpeg(path: Path, tmp_path: Path, run: Render) -> None:
    result = run(path, "-o", tmp_path / "a.jpg", "--json")
    expected = {"file": str(tmp_path / "a.jpg"), "rows": 40, "columns": 60, "samples_per_pixel": 1, "bits": 8}
    assert json.loads(result.stdout) == expected
    assert Image.open(tmp_path / "a.jpg").format == "JPEG"


def test_what_is_there_is_not_replaced_unless_told(path: Path, tmp_path: Path, run: Render) -> None:
    (tmp_path / "a.png").write_bytes(b"mine")
    result = run(path, "-o", tmp_path / "a.png")
    assert result.exit_code == 2 and "is there already" in result.stderr
    assert (tmp_path / "a.png").read_bytes() == b"mine"
    assert run(path, "-o", tmp_path / "a.png", "--overwrite").exit_code == 0
    assert shown(tmp_path / "a.png").shape == (40, 60)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--frame", "3"], 65, "there is no frame 3 of 2"),
        (["--stored-lut", "1"], 65, "there is no VOI LUT 1"),
        (["--window", "40,0"], 65, "width of a window is 0"),
        (["--window", "nan,1"], 65, "not finite"),
        (["--window", "40"], 2, "is not CENTER,WIDTH"),
        (["--window", "40,400,cubic"], 2, "'CUBIC' is none of"),
        (["--window", "40,400", "--pixel-range"], 2, "say one of"),
        (["--size", "0x5"], 2, "is not ROWSxCOLUMNS"),
        (["--size", "60000x60000"], 65, "too many"),
        (["--text", "middle=x"], 2, "does not begin with"),
        (["--state", "nothing.dcm"], 2, "nothing.dcm"),
    ],
)
def test_what_cannot_be_says_why(
    path: Path, tmp_path: Path, run: Render, arguments: list[str], code: int, message: str
) -> None:
    result = run(path, "-o", tmp_path / "a.png", *arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert not (tmp_path / "a.png").exists()


def test_what_is_no_image_says_why(path: Path, tmp_path: Path, run: Render) -> None:
    (tmp_path / "text.txt").write_text("not DICOM")
    for source, message in ((tmp_path / "text.txt", "text.txt"), (tmp_path / "none.dcm", "No such file")):
        result = run(source, "-o", tmp_path / "a.png")
        assert result.exit_code == 2 and message in result.stderr
    result = run(path, "-o", tmp_path / "a.gif")
    assert result.exit_code == 2 and "does not end with .png" in result.stderr
    (tmp_path / "two").mkdir()
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / "two" / name).write_bytes(path.read_bytes())
    result = run(tmp_path / "two", "-o", tmp_path / "a.png")
    assert result.exit_code == 2 and "has 2 instances" in result.stderr


def test_what_is_stored_is_named_by_its_uid(
    path: Path, tmp_path: Path, make_node: Callable[..., Node], dcmtk: Dcmtk
) -> None:
    dataset = pydicom.dcmread(path)
    one = state(dataset, SoftcopyVOILUTSequence=[item(WindowCenter=0, WindowWidth=900)], ImageRotation=90)
    one.save_as(tmp_path / "state.dcm", enforce_file_format=True)
    node = make_node().start()
    dcmtk.store(node.address, path, tmp_path / "state.dcm").check()
    output = tmp_path / "a.png"
    arguments = ("render", dataset.SOPInstanceUID, "-o", str(output), "--state")
    for named in (one.SOPInstanceUID, str(tmp_path / "state.dcm")):
        node.cli(*arguments, named, "--overwrite").check()
        assert np.array_equal(shown(output), render(dataset, 0, Rendering(presentation_state=one)).pixels)
    refused = node.cli("render", dataset.StudyInstanceUID, "-o", str(tmp_path / "b.png"))
    assert refused.exit_code == 2 and "has 2 instances" in refused.output
