"""DCMTK's print programs print to the node: films, Presentation LUTs, annotations, transfer syntaxes, refusals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pydicom
import pypdfium2
import pytest
from medserver.index import FilmRow, open_index
from medserver.printing.film import Film, film_of

from tests.peers.node import Node
from tests.peers.process import wait_until
from tests.printing.dcmpstat import PrintPrograms

_FILES = Path(pydicom.__file__).parent / "data" / "test_files"
CT, MR = _FILES / "CT_small.dcm", _FILES / "MR_small.dcm"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Give a node with a printer that writes to a folder."""
    one = Node(tmp_path_factory.mktemp("dcmtk"), clients=("DCMPRINT",))
    folder = one.data / "films"
    one.set_section("printer film", {"output": "pdf", "ae_title": "FILM1", "folder": folder, "media": "14INX17IN, A4"})
    one.start()
    yield one
    one.kill()


@pytest.fixture
def make_programs(node: Node, tmp_path: Path) -> Callable[..., PrintPrograms]:
    """Give a function that makes the programs with options."""
    return lambda **options: PrintPrograms(tmp_path, node.address._replace(ae_title="FILM1"), **options)


def _films(node: Node) -> dict[str, FilmRow]:
    with closing(open_index("sqlite:///index.db", base=node.data)) as index:
        return {row.uid: row for row in index.films.page()}


def _codes(output: str) -> list[int]:
    return [int(code, 16) for code in re.findall(r"DIMSE Status +: (0x[0-9a-fA-F]+)", output)]


def _printed(
    node: Node, programs: PrintPrograms, images: Sequence[Path], render: Sequence[str], options: Sequence[str] = ()
) -> list[Film]:
    """Print images, and return the films that the node has made of them, once they are printed."""
    before = _films(node)
    done = programs.print(programs.render(images, *render), *options)
    assert done.exit_code == 0, done.output
    assert set(_codes(done.output)) == {0}
    new = [row for uid, row in _films(node).items() if uid not in before]
    wait_until(lambda: all(_films(node)[row.uid].state == "DONE" for row in new))
    return [film_of(row.content) for row in new]


def test_a_film_of_two_columns_and_two_rows(node: Node, make_programs: Callable[..., PrintPrograms]) -> None:
    options = ("-l", "2", "2", "--lin-od", "-a", "Left", "--landscape", "--trim", "--border", "WHITE")
    [film] = _printed(node, make_programs(), [CT, MR, CT, MR], options, ("--label", "Doe", "--priority", "HIGH"))
    assert (film.image_display_format, film.film_orientation, film.trim) == ("STANDARD\\2,2", "LANDSCAPE", "YES")
    assert (film.presentation_lut.shape, film.border_density, film.film_session_label) == ("LIN OD", "WHITE", "Doe")
    assert [box.image_box_position for box in film.boxes] == [1, 2, 3, 4]
    assert {(box.image.rows, box.image.bits_stored) for box in film.boxes} == {(128, 12), (64, 12)}
    assert [text.text_string.endswith("Left") for text in film.annotations] == [True]
    page = max((node.data / "films").glob("*.pdf"), key=lambda path: path.stat().st_mtime_ns)
    with pypdfium2.PdfDocument(page) as document:
        width, height = document[0].get_size()
        assert (round(width / 72), round(height / 72)) == (17, 14)
        assert len([each for each in document[0].get_objects() if each.type == 3]) == 4


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("deep", [False, True])
def test_bits_and_transfer_syntaxes(
    node: Node, make_programs: Callable[..., PrintPrograms], implicit: bool, deep: bool
) -> None:
    [film] = _printed(node, make_programs(implicit=implicit, deep=deep), [CT], ("--identity",))
    assert [box.image.bits_stored for box in film.boxes] == [12 if deep else 8]


def test_a_film_session(node: Node, make_programs: Callable[..., PrintPrograms]) -> None:
    programs = make_programs()
    [film] = _printed(node, programs, [CT], (), ("--session-print", "--copies", "2", "--monochrome1"))
    assert [box.image.photometric_interpretation for box in film.boxes] == ["MONOCHROME1"]


@pytest.mark.parametrize("in_session", [False, True])
def test_where_the_presentation_lut_is_referred_to(
    node: Node, make_programs: Callable[..., PrintPrograms], in_session: bool
) -> None:
    options = ("--plut", "TABLE", "--illumination", "1800", "--reflection", "8")
    [film] = _printed(node, make_programs(lut_in_session=in_session), [CT], options)
    assert (len(film.presentation_lut.table), film.presentation_lut.table[-1]) == (4096, 4095)
    assert (film.illumination, film.reflected_ambient_light) == (1800, 8)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--filmsize", "8INX10IN"), 0x0106),
        (("--max-density", "320"), 0xB605),
        (("--img-request-size", "500", "--request-fail"), 0xC603),
        (("--img-request-size", "500", "--request-crop"), 0xB609),
        (("--img-request-size", "500", "--request-decimate"), 0xB60A),
    ],
    ids=["another size", "density", "fail", "crop", "decimate"],
)
def test_what_is_not_as_asked(
    make_programs: Callable[..., PrintPrograms], options: tuple[str, ...], code: int
) -> None:
    programs = make_programs()
    done = programs.print(programs.render([CT], *options))
    assert code in _codes(done.output)
    assert ("printer communication failed" in done.output) is (code in (0x0106, 0xC603))
