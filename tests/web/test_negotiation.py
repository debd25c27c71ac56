"""Which form is chosen: the rules of PS3.18 8.7.5 - 8.7.8, and what clients are known to send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medserver.errors import MixedMediaTypes, NotAcceptable
from medserver.web.media_types import MediaType, media_ranges_of, media_type_of
from medserver.web.negotiation import INSTANCES, METADATA, ONE_INSTANCE, select

EXPLICIT, J2K, J2K_LOSSY = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
JSON, XML, DICOM = "application/dicom+json", "application/dicom+xml", "application/dicom"
RELATED_DICOM = 'multipart/related; type="application/dicom"'

OF_METADATA = {
    "*/*": JSON,
    "application/dicom+json": JSON,
    "Application/DICOM+JSON": JSON,
    "application/*": JSON,
    'multipart/related; type="application/dicom+xml"': XML,
    "multipart/related; type=application/dicom+xml": XML,
    "multipart/related;type=application/dicom+xml;boundary=x": XML,
    'multipart/related; type="application/dicom+xml", */*': XML,
    'multipart/related; type="application/dicom+xml"; q=0.5, */*': JSON,
    'multipart/related; type="application/dicom+xml"; q=0.5, application/dicom+json; q=0.4': XML,
    'application/dicom+json, multipart/related; type="application/dicom+xml"': JSON,
    'multipart/related; type="application/dicom+xml", application/dicom+json': XML,
    "application/dicom+json; q=0, */*": None,
    'application/dicom+json; q=0, */*, multipart/related; type="application/dicom+xml"': XML,
    "application/dicom+json;transfer-syntax=*": JSON,  # a proxy in front of a viewer sent that for metadata
    "application/dicom+json; charset=utf-8": JSON,
    "text/html": None,
    "image/*": None,
    "multipart/*": XML,
    "multipart/related": None,
    "application/json": None,
    "": None,
    ",": None,
    "rubbish": None,
    "rubbish, application/dicom+json": JSON,
    "application/dicom+json; q=2": None,
    "application/dicom+json; q=1.001": None,
    "application/dicom+json; q=": None,
    "application/dicom+json;": JSON,
    " application/dicom+json": None,  # a header field has no space in front
    'multipart/related; type="a,b", application/dicom+json': JSON,
    'multipart/related; type="application/dicom\\+xml"': XML,
}

OF_AN_INSTANCE = {
    "*/*": (True, (EXPLICIT,)),
    RELATED_DICOM: (True, (EXPLICIT,)),
    "multipart/related; type=application/dicom": (True, (EXPLICIT,)),
    "multipart/related": (True, (EXPLICIT,)),
    'multipart/related; type="*/*"': (True, (EXPLICIT,)),  # dicomweb-client
    "application/dicom": (False, (EXPLICIT,)),
    "application/dicom; transfer-syntax=*": (False, ("*",)),
    f"{RELATED_DICOM}; transfer-syntax=*": (True, ("*",)),
    'multipart/related; transfer-syntax="*"; type="application/dicom"': (True, ("*",)),
    f"{RELATED_DICOM}; transfer-syntax={J2K}": (True, (J2K,)),
    f"{RELATED_DICOM}; transfer-syntax={J2K}, {RELATED_DICOM}; transfer-syntax=*": (True, (J2K, "*")),
    f"{RELATED_DICOM}; transfer-syntax={J2K}; q=0.5, {RELATED_DICOM}; transfer-syntax=*": (True, ("*", J2K)),
    f"{RELATED_DICOM}; transfer-syntax={J2K}; q=0, {RELATED_DICOM}": (True, (EXPLICIT,)),
    f"{RELATED_DICOM}; transfer-syntax={J2K}, {RELATED_DICOM}; transfer-syntax={J2K_LOSSY}": (True, (J2K, J2K_LOSSY)),
    f"application/dicom; q=0.9, {RELATED_DICOM}; q=0.8": (False, (EXPLICIT,)),
    f"{RELATED_DICOM}, application/dicom": (True, (EXPLICIT,)),
    "application/*": (False, (EXPLICIT,)),
    "application/dicom+json": None,
    'multipart/related; type="application/octet-stream"': None,
}


@pytest.mark.parametrize(("accept", "expected"), OF_METADATA.items())
def test_metadata(accept: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(NotAcceptable, match="there is only: application/dicom.json, multipart/related"):
            select(METADATA, accept)
    else:
        selected = select(METADATA, accept)
        assert (selected.offer.media_type, selected.transfer_syntaxes) == (expected, ())
        assert selected.offer.is_multipart == (expected == XML)


@pytest.mark.parametrize(("accept", "expected"), OF_AN_INSTANCE.items())
def test_an_instance(accept: str, expected: tuple[bool, tuple[str, ...]] | None) -> None:
    if expected is None:
        with pytest.raises(NotAcceptable):
            select(ONE_INSTANCE, accept)
    else:
        selected = select(ONE_INSTANCE, accept)
        assert (selected.offer.is_multipart, selected.transfer_syntaxes) == expected
        assert selected.offer.media_type == DICOM


def test_several_instances_are_never_sent_alone() -> None:
    with pytest.raises(NotAcceptable):
        select(INSTANCES, "application/dicom")


def test_without_the_header_field() -> None:
    """PS3.18 8.7.5: 406, also with the query parameter."""
    for parameter in (None, JSON):
        with pytest.raises(NotAcceptable, match="Accept"):
            select(METADATA, None, parameter)


@pytest.mark.parametrize(
    ("accept", "parameter", "expected"),
    [
        (JSON, 'multipart/related; type="application/dicom+xml"', XML),
        ('multipart/related; type="application/dicom+xml"', JSON, JSON),
        (JSON, "application/pdf", JSON),
        ("*/*", "rubbish", JSON),
    ],
)
def test_the_query_parameter_comes_first(accept: str, parameter: str, expected: str) -> None:
    assert select(METADATA, accept, parameter).offer.media_type == expected


@pytest.mark.parametrize(
    ("accept", "parameter"),
    [
        ("application/dicom, image/jpeg", None),
        (f"{RELATED_DICOM}, image/png; q=0.1", None),
        ("image/jpeg", JSON),
        ("text/html, application/dicom+json", None),
    ],
)
def test_dicom_and_rendered_types_at_the_same_time(accept: str, parameter: str | None) -> None:
    with pytest.raises(MixedMediaTypes):
        select(METADATA, accept, parameter)


@pytest.mark.parametrize("accept", ["application/dicom+json, image/jpeg; q=0", "application/dicom+json, */*"])
def test_what_is_not_asked_for_is_not_mixed(accept: str) -> None:
    assert select(METADATA, accept).offer.media_type == JSON


def test_the_example_of_the_standard() -> None:
    """PS3.18 table 8.7.8-1, as far as its weights go."""
    text = "text/*; q=0.5, text/html; q=0.4, text/html; level=1, text/html; level=2; q=0.7, image/png, */*; q=0.4"
    assert media_ranges_of(text) == [
        MediaType("text", "*", {}, 0.5),
        MediaType("text", "html", {}, 0.4),
        MediaType("text", "html", {"level": "1"}, 1.0),
        MediaType("text", "html", {"level": "2"}, 0.7),
        MediaType("image", "png", {}, 1.0),
        MediaType("*", "*", {}, 0.4),
    ]


def test_parameters_with_quotes() -> None:
    found = media_type_of('multipart/related; boundary="a; \\"b\\", c"; Type=application/dicom; type=other')
    assert found == MediaType("multipart", "related", {"boundary": 'a; "b", c', "type": "application/dicom"})


@given(st.text(max_size=60) | st.from_regex(r'[a-z*/;=", q01.\\]{0,60}', fullmatch=True))
def test_whatever_is_sent_is_read_to_its_end(text: str) -> None:
    for each in media_ranges_of(text):
        assert each.type and each.subtype and 0 <= each.quality <= 1


def test_a_long_list_takes_a_short_time() -> None:
    assert len(media_ranges_of("a/b;" * 5000 + ",a/b" * 5000)) == 100
    assert media_ranges_of('"' + "," * 100_000) == []
