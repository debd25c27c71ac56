"""Identifiers as they arrive: bytes of a peer to a data set, bounded (PS3.4 C.4.1.1.3)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medserver.dicom.data_sets import read_data_set
from medserver.errors import CannotUnderstand, DataSetTooLarge, OutOfResources
from medserver.node import Node
from medserver.services.request import Request

ELEMENTS_MAX = 2000
"""How many keys and items an identifier may have. A list of UIDs, which may be long, is one key."""

DEPTH_MAX = 16
"""How deep its items may be nested."""


def read_identifier(request: Request, node: Node) -> Dataset:
    """Read the identifier of a request.

    Every element is decoded here, so that later use of the data set cannot fail on a peer's bytes.

    Raises
    ------
    CannotUnderstand
        There is none, or it cannot be read.
    DataSetTooLarge
        It is too long.
    """
    limit_bytes = node.config.current.limits.identifier_size_max_bytes
    try:
        raw = request.message.read_data_set(limit_bytes)
    except OutOfResources:
        raise DataSetTooLarge(f"the identifier is longer than {limit_bytes} bytes") from None
    request.audited.identifier = raw
    identifier = read_data_set(
        raw, request.context.transfer_syntax_uid, elements_max=ELEMENTS_MAX, depth_max=DEPTH_MAX
    )
    if not len(identifier):
        raise CannotUnderstand("the identifier is empty")
    return identifier
