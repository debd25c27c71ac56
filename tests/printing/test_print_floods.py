"""A Print SCU asks for too much, or for what makes no sense: each request has its status, and others do not notice.

What damaged data sets do is in `test_print_attacks`; which statuses there are in `test_print_statuses`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from medserver.dicom import print_classes as classes
from medserver.dicom import status, uids
from medserver.errors import NoPrintMemory
from medserver.printing.pixels import PixelFile
from medserver.printing.sessions import ICC_PROFILES_MAX_BYTES, LUT_ENTRIES_MAX
from medserver.services.printing.statuses import OPERATIONS, is_stated

from tests.peers import Address
from tests.peers.node import Node
from tests.peers.proc import children_of
from tests.peers.process import wait_until
from tests.printing.print_scu import gray_image
from tests.printing.raw_scu import (
    BOX,
    CREATE,
    GET,
    LUT,
    SESSION,
    SET,
    RawPrintSCU,
    dataset,
    in_session,
    lut_reference,
    lut_table,
    printing,
)

MB = 1_000_000
GROWTH_MAX_MB = 40
RESET_PEAK = "5"
"""What makes the kernel forget the peak in /proc/PID/clear_refs, see proc(5)."""

STEPS = 400
SESSIONS = 30


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Give a node with a printer."""
    one = Node(tmp_path_factory.mktemp("flooded"), clients=("WS1",))
    one.set_section("printer film", {"output": "pdf", "ae_title": "FILM1", "folder": "films", "resolution_dpi": 75})
    one.start()
    yield one
    one.kill()


@pytest.fixture
def printer(node: Node) -> Iterator[Address]:
    """Give the printer, which still prints at the end, and no mistake of ours is in the log."""
    address = node.address._replace(ae_title="FILM1")
    yield address
    with printing(address) as scu:
        scu.film(image=gray_image())
        assert scu.print().code == 0
    assert "Traceback" not in node.output


def growth_mb(node: Node, do: Callable[[], object]) -> float:
    """Return by how much the memory of any process of the node was more at the peak than before [MB].

    But for those that compose pages: they have limits of their own.
    """
    processes = [node.server.process.pid, *children_of(node.server.process.pid)]
    before = {each: _memory_mb(each, "VmRSS") for each in processes}
    for each in processes:
        Path(f"/proc/{each}/clear_refs").write_text(RESET_PEAK)
    do()
    return max(_memory_mb(each, "VmHWM") - before[each] for each in processes)


def _memory_mb(process_id: int, name: str) -> float:
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / MB


# -- Memory and disk ---------------------------------------------------------------------------------------------------


def test_values_beside_the_pixels(node: Node, printer: Address) -> None:
    """An image with a private element of 64 MB: the pixels wait in a file, and it was read into memory."""
    image = gray_image()
    image.add_new(0x00090010, "LO", "P")
    image.add_new(0x00091001, "OB", bytes(64 * MB))
    with printing(printer) as scu:
        box = scu.film()
        codes: list[int] = []
        assert growth_mb(node, lambda: codes.append(scu.set_image(box, image).code)) < GROWTH_MAX_MB
        assert codes == [status.RESOURCE_LIMITATION]
        assert scu.set_image(box, gray_image()).code == 0


def test_an_image_that_is_as_large_as_it_says(node: Node, printer: Address) -> None:
    """Slow: 20,000 x 20,000 pixels, all of which are sent."""
    image = gray_image(Rows=20_000, Columns=20_000)
    image.PixelData = bytes(20_000 * 20_000)
    with printing(printer) as scu:
        box = scu.film()
        codes: list[int] = []
        assert growth_mb(node, lambda: codes.append(scu.set_image(box, image).code)) < GROWTH_MAX_MB
        assert codes == [status.IMAGE_LARGER_THAN_BOX]


def test_profiles_of_many_film_boxes(node: Node, printer: Address) -> None:
    """They are in memory: those that differ are counted, and film boxes with the same one share it."""
    with printing(printer) as scu:
        scu.is_colour = True
        scu.create_session()
        size = ICC_PROFILES_MAX_BYTES // 4
        codes: list[int] = []

        def create() -> None:
            for number in range(20):
                profile = bytes([min(number, 4)]) * size
                codes.append(scu.create_box(f"1.2.9.{number}", ICCProfile=profile).code)

        assert growth_mb(node, create) < 3 * GROWTH_MAX_MB
        assert codes == [0] * 4 + [status.RESOURCE_LIMITATION] * 16
        assert scu.create_box("1.2.9.30", ICCProfile=bytes(size)).code == 0


def test_many_presentation_luts(node: Node, printer: Address) -> None:
    with printing(printer) as scu:
        codes: list[int] = []

        def create() -> None:
            for number in range(100):
                codes.append(scu.create_lut(f"1.2.8.{number}", PresentationLUTSequence=lut_table(4096)).code)

        assert growth_mb(node, create) < GROWTH_MAX_MB
        count = LUT_ENTRIES_MAX // 4096
        assert codes == [0] * count + [status.RESOURCE_LIMITATION] * (100 - count)
        assert scu.create_lut("1.2.8.200", PresentationLUTShape="LIN OD").code == 0


def test_film_boxes_of_as_many_images_as_there_can_be(node: Node, printer: Address) -> None:
    with printing(printer) as scu:
        scu.create_session()
        codes: list[int] = []

        def create() -> None:
            codes.extend(scu.create_box(f"1.2.7.{number}", "STANDARD\\16,16").code for number in range(101))

        assert growth_mb(node, create) < 2 * GROWTH_MAX_MB
        assert codes == [0] * 100 + [status.RESOURCE_LIMITATION]
    with printing(printer) as scu:
        scu.create_session()
        assert scu.create_box("1.2.7.200", "STANDARD\\17,17").code == status.INVALID_ATTRIBUTE_VALUE


def test_sessions_that_are_never_closed(node: Node, printer: Address) -> None:
    """Each has an image; another workstation prints meanwhile, and what they had is given back when they are gone."""
    with ExitStack() as stack:
        for _ in range(SESSIONS):
            scu = stack.enter_context(printing(printer))
            scu.film(image=gray_image(512, 512))
            stack.callback(scu.association.abort)
        with printing(printer) as other:
            other.film(image=gray_image())
            assert other.print().code == 0
    wait_until(lambda: _deleted_files(node) == 0, what="the end of the files of all sessions")


def _deleted_files(node: Node) -> int:
    """Count the files without a name in the data folder that processes of the node have open."""
    processes, count = [node.server.process.pid], 0
    for each in processes:
        processes += children_of(each)
        for descriptor in Path(f"/proc/{each}/fd").glob("*"):
            try:
                target = str(descriptor.readlink())
            except OSError:
                continue
            count += target.startswith(f"{node.data}/") and target.endswith(" (deleted)") and "/#" in target
    return count


def test_no_image_takes_the_last_space_of_a_disk(tmp_path: Path) -> None:
    """The index may be on it."""
    file = PixelFile(tmp_path, free_min_bytes=1 << 60)
    with pytest.raises(NoPrintMemory, match="would be free"):
        file.put([bytes(100)], 100)
    file.close()


# -- Sense -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw, character_set, code",
    [
        (b"M\xfcller", "", 0), (b"M\xfcller", "ISO_IR 100", 0), (b"\xff\xfe\x80 ", "ISO_IR 192", 0),
        (b"abc ", "NO SUCH", 0), (b"\x1b$B\xff\xff ", "\\ISO 2022 IR 87", 0), (b"\x1b$Babc", "\\ISO 2022 IR 87", 0),
        (b"a\0b\x07\x1b ", "ISO_IR 100", 0), (b"\x82\xa0", "GB18030", 0), ("山".encode() * 64, "ISO_IR 192", 0),
        (b"x" * 66, "", status.INVALID_ATTRIBUTE_VALUE), (b"x" * 60_000, "", status.INVALID_ATTRIBUTE_VALUE),
        (("山".encode() * 66), "ISO_IR 192", status.INVALID_ATTRIBUTE_VALUE),
    ],
)  # fmt: skip
def test_texts_in_any_character_set(printer: Address, raw: bytes, character_set: str, code: int) -> None:
    """A label that is not what it says is taken as far as it can be read; it is printed."""
    stated = character_set.encode() + b" " * (len(character_set) % 2)
    asked = struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", len(stated)) + stated if stated else b""
    asked += struct.pack("<HH2sH", 0x2000, 0x0050, b"LO", len(raw)) + raw
    with printing(printer) as scu:
        assert scu.send(CREATE, classes.FILM_SESSION, SESSION, asked).code == code
        if code == 0:
            made = scu.create_box()
            box = made.identifier.ReferencedImageBoxSequence[0].ReferencedSOPInstanceUID
            assert scu.set_image(box, gray_image()).code == 0
            assert scu.print().code == 0


@pytest.mark.parametrize("text", ["x" * 65, "x" * 1_000_000, "山" * 65], ids=len)
def test_an_annotation_that_is_too_long(printer: Address, text: str) -> None:
    value = text.encode()
    value += b" " * (len(value) % 2)
    asked = struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 10) + b"ISO_IR 192"
    asked += struct.pack("<HH2sHI", 0x2030, 0x0020, b"UN", 0, len(value)) + value  # an LO is not so long
    with printing(printer) as scu:
        box = scu.annotation()
        code = scu.send(SET, classes.ANNOTATION_BOX, box, asked).code
        assert code in (status.INVALID_ATTRIBUTE_VALUE, status.PROCESSING_FAILURE)


@pytest.mark.parametrize(
    "descriptor, count, code",
    [
        ((256, 0, 12), 256, 0), ((4096, 0, 16), 4096, 0),
        *[((256, 0, 12), count, status.INVALID_ATTRIBUTE_VALUE) for count in (1, 255, 257, 4096)],
        *[((4096, 0, 12), count, status.INVALID_ATTRIBUTE_VALUE) for count in (256, 4095, 4097, 70_000)],
        *[((length, 0, 12), 256, status.INVALID_ATTRIBUTE_VALUE) for length in (0, 1, 65535)],
        *[((256, 0, bits), 256, status.INVALID_ATTRIBUTE_VALUE) for bits in (0, 8, 9, 17, 65535)],
        *[((256, first, 12), 256, status.INVALID_ATTRIBUTE_VALUE) for first in (1, 65535)],
    ],
)  # fmt: skip
def test_tables_of_other_lengths_than_they_say(
    printer: Address, descriptor: tuple[int, int, int], count: int, code: int
) -> None:
    item = dataset(LUTDescriptor=list(descriptor))
    item.add_new("LUTData", "OW", struct.pack(f"<{count}H", *(index % 256 for index in range(count))))
    with printing(printer) as scu:
        assert scu.create_lut(PresentationLUTSequence=[item]).code == code


def test_a_table_for_images_of_other_bits(printer: Address) -> None:
    with printing(printer) as scu:
        assert scu.create_lut(PresentationLUTSequence=lut_table(4096)).code == 0
        box = scu.film()
        reference = lut_reference()
        answer = scu.set_image(box, gray_image(bits=8), ReferencedPresentationLUTSequence=reference)
        assert answer.code == status.INVALID_ATTRIBUTE_VALUE
        answer = scu.set_image(box, gray_image(bits=12), ReferencedPresentationLUTSequence=reference)
        assert answer.code == 0


@pytest.mark.parametrize("seed", range(3))
def test_requests_in_any_order(printer: Address, seed: int) -> None:
    """About what there is, what there was, what there never was, and what is something else."""
    chance = random.Random(seed)
    with printing(printer) as scu:
        known = [SESSION, BOX, LUT, "1.2.99", "1.2.0", "1.02.3", "x", "9" * 65, classes.PRINTER_INSTANCE]
        for _ in range(STEPS):
            sop_class_uid = chance.choice(list(OPERATIONS))
            operation = chance.choice(OPERATIONS[sop_class_uid])
            scu.is_colour = chance.random() < 0.2
            more = {"ActionTypeID": chance.choice([1, 1, 2])}
            content = _content(scu, sop_class_uid, chance) if operation in (CREATE, SET) else None
            answer = scu.send(operation, sop_class_uid, chance.choice(known), content, **more)
            # 0118: it is not of the meta SOP class of its presentation context
            is_right = answer.code == status.NO_SUCH_SOP_CLASS or is_stated(sop_class_uid, operation, answer.code)
            assert is_right, (sop_class_uid, operation, hex(answer.code))
            for box in (answer.identifier or {}).get("ReferencedImageBoxSequence") or ():
                known = known[-30:] + [str(box.ReferencedSOPInstanceUID), SESSION, BOX]


def _content(scu: RawPrintSCU, sop_class_uid: str, chance: random.Random):
    """Return a data set that may be right for a SOP class."""
    if sop_class_uid == classes.FILM_BOX:
        formats = ["STANDARD\\2,2", "STANDARD\\0,1", "ROW\\1,2", "SLIDE", "", "COL\\" + ",".join(["1"] * 300)]
        return in_session(chance.choice([SESSION, "1.2.99"]), ImageDisplayFormat=chance.choice(formats))
    if sop_class_uid in (classes.GRAYSCALE_IMAGE_BOX, classes.COLOR_IMAGE_BOX):
        bits = chance.choice([8, 12])
        image = gray_image(4, 5, bits, **({"HighBit": 3} if chance.random() < 0.2 else {}))
        position = chance.choice([1, 2, 9, 65535])
        return dataset(ImageBoxPosition=position, BasicGrayscaleImageSequence=[image])
    if sop_class_uid == classes.PRESENTATION_LUT:
        return dataset(PresentationLUTShape=chance.choice(["IDENTITY", "LIN OD", "INVERSE", ""]))
    if sop_class_uid == classes.ANNOTATION_BOX:
        return dataset(AnnotationPosition=chance.choice([1, 7]), TextString="x")
    return dataset(NumberOfCopies=chance.choice(["1", "0", "99999"]), FilmSessionLabel="x")


def test_a_list_of_many_attributes_that_are_asked_for(printer: Address) -> None:
    tags = struct.pack("<1000H", *range(1000))
    with printing(printer) as scu:
        answer = scu.send(GET, classes.PRINTER, classes.PRINTER_INSTANCE, AttributeIdentifierList=tags)
        assert answer.code == status.ATTRIBUTE_LIST_ERROR


def test_big_endian_is_as_good(printer: Address) -> None:
    with printing(printer, transfer_syntax_uid=uids.EXPLICIT_VR_BIG_ENDIAN) as scu:
        scu.film(image=gray_image())
        assert scu.print().code == 0
