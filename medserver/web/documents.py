"""Data sets are sent as one JSON document, or as XML documents of their own (PS3.18 8.7.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from medserver.web import dicom_json
from medserver.web.multipart import Part, content_type, new_boundary, written
from medserver.web.negotiation import Offer
from medserver.web.request import Answer

NO_CONTENT = 204


def sent(
    documents: Iterable[Mapping[str, Any]], offer: Offer, headers: Mapping[str, str] | None = None, status: int = 200
) -> Answer:
    """Return the answer that holds data sets, given in DICOM JSON; those of an iterator are made while they are sent.

    Parameters
    ----------
    documents : iterable of mapping
        The data sets.
    offer : Offer
        One of `negotiation.METADATA`: XML is multipart.
    headers : mapping of str to str, optional
        Further header fields.
    status : int
        The HTTP status.
    """
    kind, headers = offer.media_type, headers or {}
    if not offer.is_multipart:
        array = _json_array(documents)
        return Answer(status, b"".join(array) if isinstance(documents, list) else array, kind, headers)
    boundary = new_boundary()
    parts = (Part(kind, [dicom_json.native_model(each)]) for each in documents)
    return Answer(status, written(parts, boundary), content_type(kind, boundary), headers)


def _json_array(documents: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    yield b"["
    for number, each in enumerate(documents):
        yield (b"," if number else b"") + dicom_json.encode_json(each).encode("utf-8", "replace")
    yield b"]"
