"""The table of codecs: its rows are whole, its reasons exact, and the manual says what it says."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from docutils import nodes

from medserver.cli.manual import pages
from medserver.codecs import table
from medserver.codecs.pixels import decoders, encoders
from medserver.codecs.table import CODECS, Library, codec_of
from medserver.config.options import COMPRESSIONS
from medserver.conformance.pixels import encodings_table, undecoded_table
from medserver.dicom.syntax_names import SHORT_NAMES, short_name
from medserver.dicom.transfer_syntaxes import HTJ2K_LOSSLESS, JPEG_2000_LOSSLESS, JPEG_LS_LOSSLESS, RLE_LOSSLESS
from medserver.errors import CannotTranscode
from tests.documents import parse
from tests.pixels.kinds import Kind


def test_every_function_is_there() -> None:
    for codec in CODECS:
        every = filter(None, (codec.decoder, codec.decoder_before))
        assert all(callable(getattr(decoders, decoder.function)) for decoder in every)
        assert all(callable(getattr(encoders, encoder.function)) for encoder in codec.encoders)
        assert bool(codec.forms) == bool(codec.encoders)
    assert len({codec.uid for codec in CODECS}) == len(CODECS)


def test_what_has_no_row_has_no_codec() -> None:
    assert codec_of("1.2.840.10008.1.2.4.102") is None
    assert codec_of("") is None


BUT_HTJ2K = "but of 1-8 of 8, 1-16 of 16 bits, signed or not"
REASONS = [
    (HTJ2K_LOSSLESS, Kind(allocated=32, stored=20), f"HTJ2K is not used for MONOCHROME2 of 20 of 32 bits, {BUT_HTJ2K}"),
    (HTJ2K_LOSSLESS, Kind("HSV", 3, 8, 8),
     "HTJ2K is not used for HSV, but for MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB, YBR_FULL"),
    (RLE_LOSSLESS, Kind("RGB", 1, 8, 8), "RGB has 3 and not 1 Samples per Pixel"),
    (RLE_LOSSLESS, Kind("YBR_FULL", 3, 16, 16), "RLE is not used for YBR_FULL of 16 of 16 bits, but of 1-8 of 8 bits"),
    (JPEG_LS_LOSSLESS, Kind(allocated=8, stored=8, shape=(1, 15, 17)),
     "an image of less than 256 pixels is not encoded into JPEG-LS"),
]  # fmt: skip


@pytest.mark.parametrize(("uid", "kind", "reason"), REASONS, ids=str)
def test_reasons(uid: str, kind: Kind, reason: str) -> None:
    with pytest.raises(CannotTranscode, match=f"^{re.escape(reason)}$"):
        codec_of(uid).encoder_for(kind.image)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_is_importable", lambda module: module in ("pydicom", "openjpeg", "medserver"))
    assert list(table.lossless_encodings()) == [JPEG_2000_LOSSLESS, RLE_LOSSLESS]
    assert codec_of(JPEG_2000_LOSSLESS).encoder_for(Kind(shape=(1, 32, 32)).image).function == "jpeg_2000"
    with pytest.raises(CannotTranscode, match="^JPEG 2000 of such an image needs the extra 'codecs'$"):
        codec_of(JPEG_2000_LOSSLESS).encoder_for(Kind(shape=(1, 32, 31)).image)
    with pytest.raises(CannotTranscode, match="^HTJ2K of such an image needs the extra 'codecs'$"):
        codec_of(HTJ2K_LOSSLESS).encoder_for(Kind().image)
    assert [codec.name for codec in CODECS if codec.decodes] == [
        "JPEG 2000", "HTJ2K", "RLE", "JPEG 2000 with loss", "HTJ2K, RPCL", "HTJ2K with loss", "uncompressed",
        "deflated frames",
    ]  # fmt: skip


def test_the_decoder_is_among_what_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_version", lambda distribution: "1.0")
    made_by = table.made_by(RLE_LOSSLESS, HTJ2K_LOSSLESS).split("; ", 1)[1]
    assert made_by == "pydicom 1.0; pylibjpeg-openjpeg 1.0, imagecodecs 1.0"


def test_a_library_that_was_not_installed_has_no_version() -> None:
    """Such as medserver itself in a checkout; it is a codec all the same."""
    assert Library("no-such-distribution", "json").maker == "no-such-distribution of no version"


def manual_tables() -> list[list[list[str]]]:
    document = parse(pages()["compression"])
    return [
        [[entry.astext() for entry in row.findall(nodes.entry)] for row in each.findall(nodes.row)]
        for each in document.findall(nodes.table)
    ]


def test_the_manual_says_what_is_decoded_and_encoded() -> None:
    def when(*libraries: Library) -> str:
        extras = {library.extra for library in libraries}
        return "no" if not extras else "always" if "" in extras else f"with {extras.pop()}"

    expected = [
        [codec.name, codec.uid, when(codec.decoder.library), when(*(each.library for each in codec.encoders))]
        for codec in CODECS
    ]
    assert [["codec", "transfer syntax", "decoded", "encoded"], *expected] in manual_tables()


def test_the_names_are_those_of_what_is_encoded_without_loss() -> None:
    """In the manual, with what they need, and in the configuration."""
    lossless = [codec for codec in CODECS if codec.encoders and codec.syntax.lossless]
    assert [short_name(codec.uid) for codec in lossless] == list(COMPRESSIONS[1:])
    [named] = [rows for rows in manual_tables() if rows[0][0] == "name"]
    needed = {name: needs for name, _, needs in named[1:]}
    assert needed.keys() == SHORT_NAMES.keys()
    for codec in lossless:
        extra = codec.encoders[0].library.extra
        assert needed[short_name(codec.uid)] == (f"the extra {extra}" if extra else "")


def test_the_manual_says_which_images_are_encoded() -> None:
    [found] = [rows for rows in manual_tables() if rows[0][1] == "Photometric Interpretation"]
    assert found[1:] == [list(row[:3]) for row in encodings_table().rows]


def test_the_manual_says_what_is_not_decoded() -> None:
    page = " ".join(pages()["compression"].split())
    for name, _ in undecoded_table().rows:
        processes = re.findall(r"\d+", name.partition("Process")[2])
        for number in map(int, processes):
            assert number >= 15 or re.search(rf"processes [^)]*\b{number}\b", page), name
        words = re.search("MPEG2|MPEG-4|HEVC|JPEG 2000 Part 2 Multi-component", name)
        assert processes or words and words[0] in page, name


def test_no_other_kind_is_said_to_be_held() -> None:
    """What a form says in words is what it holds."""
    for codec in CODECS:
        for form in codec.forms:
            kind = Kind(form.interpretations[0], form.samples_per_pixel)
            held = {
                f"{'signed ' if signed else ''}{stored} of {allocated}"
                for signed in (0, 1) for allocated in (1, 8, 16, 32) for stored in range(1, 33)
                if form.holds(replace(kind, allocated=allocated, stored=stored, signed=signed).image)
            }  # fmt: skip
            said = set()
            for sign, fewest, most, allocated in re.findall(r"(signed )?(\d+)(?:-(\d+))? of (\d+)", form.words):
                said |= {f"{sign}{stored} of {allocated}" for stored in range(int(fewest), int(most or fewest) + 1)}
            if form.words.endswith("signed or not"):
                said |= {f"signed {each}" for each in said}
            assert held == said
