"""Identifiers as they arrive: bytes of a peer to a data set, bounded (PS3.4 C.4.1.1.3)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medserver.dicom.decoding import decode_data_set
from medserver.dicom.uids import transfer_syntax
from medserver.errors import CannotUnderstand, OutOfResources
from medserver.node import Node
from medserver.services.request import Request


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
    try:
        identifier = decode_data_set(raw, transfer_syntax(request.context.transfer_syntax_uid))
    except CannotUnderstand as error:
        raise CannotUnderstand(f"the identifier cannot be read: {error}") from None
    if not len(identifier):
        raise CannotUnderstand("the identifier is empty")
    return identifier
