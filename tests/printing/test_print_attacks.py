"""Nothing of a Print SCU is trusted: data sets that are damaged or lie are answered, and the node stays up."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from medserver.dicom import print_classes as classes
from medserver.dicom import status, uids
from medserver.dicom.data_sets import write_data_set

from tests.peers import Address
from tests.peers.node import Node
from tests.printing.print_scu import gray_image
from tests.printing.raw_scu import CREATE, DELETE, GET, LUT, SET, dataset, in_session, lut_table, printing

DAMAGED_COUNT = 60
"""How often each data set is damaged."""

ENCAPSULATED = (
    b"\x20\x20\x10\x01SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\x04\0\0\0abcd\xfe\xff\xdd\xe0\0\0\0\0"
    b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Give a node with a printer."""
    one = Node(tmp_path_factory.mktemp("attacked"), clients=("WS1",))
    one.set_section("printer film", {"output": "pdf", "ae_title": "FILM1", "folder": one.data / "films"})
    one.start()
    yield one
    one.kill()


@pytest.fixture
def printer(node: Node) -> Iterator[Address]:
    """Give the printer, which answers at the end, and no mistake of ours is in the log."""
    address = node.address._replace(ae_title="FILM1")
    yield address
    with printing(address) as scu:
        assert scu.send(GET, classes.PRINTER, classes.PRINTER_INSTANCE).code == 0
    assert "Traceback" not in node.output


def _damaged(raw: bytes, chance: random.Random) -> bytes:
    """Return a data set with some bytes changed, some left out, or some put in twice."""
    damaged = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(damaged))
        if chance.random() < 0.6:
            damaged[place] = chance.randrange(256)
        elif chance.random() < 0.5:
            del damaged[place : place + chance.randint(1, 9)]
        else:
            damaged[place:place] = damaged[place : place + chance.randint(1, 9)]
    return bytes(damaged[: len(damaged) // 2 * 2])


@pytest.mark.parametrize("transfer_syntax_uid", [uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN])
@pytest.mark.parametrize("what", ["film box", "image box", "presentation lut"])
def test_damaged_data_sets(printer: Address, what: str, transfer_syntax_uid: str) -> None:
    chance = random.Random(what)
    image = dataset(ImageBoxPosition=1, BasicGrayscaleImageSequence=[gray_image()], RequestedImageSize="100")
    good = {
        "film box": in_session(ImageDisplayFormat="STANDARD\\2,2", FilmSizeID="14INX17IN", MaxDensity=280),
        "image box": image,
        "presentation lut": dataset(PresentationLUTSequence=lut_table()),
    }[what]
    raw = write_data_set(good, transfer_syntax_uid)
    with printing(printer, transfer_syntax_uid=transfer_syntax_uid) as scu:
        image_box = scu.film()
        for number in range(DAMAGED_COUNT):
            asked = {
                "film box": (CREATE, classes.FILM_BOX, f"1.2.5.{number}"),
                "image box": (SET, classes.GRAYSCALE_IMAGE_BOX, image_box),
                "presentation lut": (CREATE, classes.PRESENTATION_LUT, f"1.2.6.{number}"),
            }[what]
            code = scu.send(*asked, _damaged(raw, chance)).code
            assert code == 0 or status.is_warning(code) or status.is_failure(code)


@pytest.mark.parametrize(
    ("code", "change"),
    [
        (status.INVALID_ATTRIBUTE_VALUE, {"Rows": 21}),
        (status.INVALID_ATTRIBUTE_VALUE, {"Rows": 19}),
        (status.INVALID_ATTRIBUTE_VALUE, {"Columns": 0}),
        (status.INVALID_ATTRIBUTE_VALUE, {"BitsAllocated": 16}),
        (status.INVALID_ATTRIBUTE_VALUE, {"BitsStored": 7, "HighBit": 6}),
        (status.INVALID_ATTRIBUTE_VALUE, {"HighBit": 0}),
        (status.INVALID_ATTRIBUTE_VALUE, {"SamplesPerPixel": 3}),
        (status.INVALID_ATTRIBUTE_VALUE, {"PhotometricInterpretation": "PALETTE COLOR"}),
        (status.INVALID_ATTRIBUTE_VALUE, {"PixelAspectRatio": ["1", "0"]}),
        (status.INVALID_ATTRIBUTE_VALUE, {"PixelAspectRatio": ["1", "1000"]}),
        (status.IMAGE_LARGER_THAN_BOX, {"Rows": 20_000, "Columns": 20_000}),
        (status.MISSING_ATTRIBUTE_VALUE, {"PhotometricInterpretation": ""}),
    ],
    ids=str,
)
def test_images_that_contradict_themselves(printer: Address, code: int, change: dict[str, object]) -> None:
    with printing(printer) as scu:
        assert f"{scu.set_image(scu.film(), gray_image(**change)).code:04X}" == f"{code:04X}"


def test_pixels_that_are_elsewhere(printer: Address) -> None:
    with printing(printer) as scu:
        uid = scu.film()
        outside = dataset(ImageBoxPosition=1, BasicGrayscaleImageSequence=[])
        outside.PixelData = bytes(600)
        assert scu.send(SET, classes.GRAYSCALE_IMAGE_BOX, uid, outside).code == status.INVALID_ATTRIBUTE_VALUE
        two = dataset(BasicGrayscaleImageSequence=[gray_image(), gray_image()])
        assert scu.send(SET, classes.GRAYSCALE_IMAGE_BOX, uid, two).code == status.INVALID_ATTRIBUTE_VALUE
        assert status.is_failure(scu.send(SET, classes.GRAYSCALE_IMAGE_BOX, uid, ENCAPSULATED).code)


def test_boxes_that_are_gone(printer: Address) -> None:
    with printing(printer) as scu:
        uid = scu.film(image=gray_image())
        assert scu.send(DELETE, classes.FILM_BOX, "1.2.2").code == 0
        assert scu.set_image(uid, gray_image()).code == status.NO_SUCH_INSTANCE
        assert scu.print().code == status.NO_SUCH_INSTANCE
        assert scu.create_box("1.2.22").code == 0
        assert scu.create_box("1.2.23").code == 0
        assert scu.print(uid="1.2.22").code == status.NO_SUCH_INSTANCE


def test_more_than_an_association_may_have(printer: Address) -> None:
    with printing(printer) as scu:
        scu.create_session()
        codes = [scu.create_box(f"1.2.7.{number}").code for number in range(101)]
        assert codes == [0] * 100 + [status.RESOURCE_LIMITATION]
        codes = [scu.create_lut(f"1.2.8.{number}", PresentationLUTShape="IDENTITY").code for number in range(257)]
        assert codes == [0] * 256 + [status.RESOURCE_LIMITATION]


def test_lengths_beyond_the_data_set(printer: Address) -> None:
    with printing(printer) as scu:
        uid = scu.film()
        raw = struct.pack("<HH2sHI", 0x2020, 0x0110, b"SQ", 0, 0xFFFFFFF0)
        assert status.is_failure(scu.send(SET, classes.GRAYSCALE_IMAGE_BOX, uid, raw).code)
        assert status.is_failure(scu.send(CREATE, classes.PRESENTATION_LUT, LUT, raw).code)
