"""Attribute lists of normalised operations as they arrive and leave, as DICOM JSON (PS3.7 10.1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from struct import iter_unpack

from medserver.dicom.character_sets import UNICODE_UTF_8
from medserver.dicom.json_model import JSON, SPECIFIC_CHARACTER_SET, read_json, write_json
from medserver.errors import InvalidArgument
from medserver.services.identifier import DEPTH_MAX
from medserver.services.received import received_data_set
from medserver.services.request import Request

ATTRIBUTE_LIST_SIZE_MAX_BYTES = 8 * 1024 * 1024
ATTRIBUTE_LIST_ELEMENTS_MAX = 100_000
"""What an attribute list may have: it may name every instance of a study, three elements each."""


@contextmanager
def received_attributes(request: Request) -> Iterator[JSON]:
    """Give the data set of a request, while it is the turn of that.

    Raises
    ------
    CannotUnderstand
        It cannot be read.
    OutOfResources, DataSetTooLarge
        It is too long.
    """
    with received_data_set(request, ATTRIBUTE_LIST_SIZE_MAX_BYTES) as raw:
        yield read_json(
            raw,
            request.context.transfer_syntax_uid,
            elements_max=ATTRIBUTE_LIST_ELEMENTS_MAX,
            depth_max=DEPTH_MAX,
        )


def requested_tags(request: Request) -> list[int]:
    """Return the Attribute Identifier List of an N-GET, empty where there is none (PS3.7 10.1.2.1.5).

    Raises
    ------
    InvalidArgument
        It is none.
    """
    raw = request.message.command_set.get("AttributeIdentifierList") or b""
    if not isinstance(raw, bytes) or len(raw) % 4:
        raise InvalidArgument("the Attribute Identifier List is not a list of tags")
    return [group << 16 | element for group, element in iter_unpack("<HH", raw)]


def written_attributes(request: Request, content: JSON) -> bytes:
    """Return attributes as the data set of the response to a request, in UTF-8."""
    told = {**content, SPECIFIC_CHARACTER_SET: {"vr": "CS", "Value": [UNICODE_UTF_8]}}
    return write_json(told, request.context.transfer_syntax_uid)
