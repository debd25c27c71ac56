"""Identifiers as they arrive: bytes of a peer to a data set, bounded (PS3.4 C.4.1.1.3)."""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from medserver.dicom.elements import scan_elements
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.uids import transfer_syntax
from medserver.errors import CannotUnderstand, OutOfResources
from medserver.node import Node
from medserver.services.request import Request

_BEYOND_ALL = frozenset({0xFFFFFFFF})
"""A tag that no data set reaches: all elements are scanned."""


def read_identifier(request: Request, node: Node) -> Dataset:
    """Read the identifier of a request.

    Every element is decoded here, so that later use of the data set cannot fail on a peer's bytes.

    Raises
    ------
    CannotUnderstand
        There is none, it is too long, or it cannot be read.
    """
    limit_bytes = node.config.current.limits.identifier_size_max_bytes
    try:
        raw = request.message.read_data_set(limit_bytes)
    except OutOfResources:
        raise CannotUnderstand(f"the identifier is longer than {limit_bytes} bytes") from None
    syntax = transfer_syntax(request.context.transfer_syntax_uid)
    # pydicom takes what is left of an element that is cut off: the query would be another one than was asked.
    problem = scan_elements(raw, syntax, _BEYOND_ALL).problem
    if problem is not None:
        raise CannotUnderstand(f"the identifier is damaged: {problem}")
    try:
        identifier = read_dataset(BytesIO(raw), syntax.implicit_vr, syntax.little_endian)
        identifier.set_original_encoding(syntax.implicit_vr, syntax.little_endian)
        identifier.decode()
        for _ in identifier.iterall():
            pass
    except PYDICOM_ERRORS as error:
        raise CannotUnderstand(f"the identifier cannot be read: {type(error).__name__}") from None
    if not len(identifier):
        raise CannotUnderstand("the identifier is empty")
    return identifier
