"""Composite Instance Retrieve Without Bulk Data: the header of an instance, sent alone (PS3.4 Z)."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from medserver import archive
from medserver.codecs.data_sets import write_element
from medserver.codecs.syntaxes import Encoding, encoding_of
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.uids import transfer_syntax
from medserver.errors import CannotTranscode
from medserver.index import StoredInstance
from medserver.node import Node
from medserver.scu.exchange import next_message_id
from medserver.scu.storage import store_request
from medserver.services.header_values import element_of
from medserver.wire.association import AcceptedContext, Association

# PS3.4 table Z.1-1; groups 50xx and 60xx repeat.
_NOT_INCLUDED = frozenset({0x7FE00010, 0x7FE00008, 0x7FE00009, 0x00287FE0, 0x56000020, 0x00420011})
_NOT_INCLUDED_REPEATING = frozenset({(0x60, 0x3000), (0x50, 0x3000), (0x50, 0x200C)})
_WAVEFORM_SEQUENCE = 0x54000100
_WAVEFORM_DATA = 0x54001010


def header_without_bulk_data(header: Dataset, from_uid: str, to_uid: str) -> bytes:
    """Encode a stored header without the attributes that the service does not send (PS3.4 Z.1.3).

    Parameters
    ----------
    header : Dataset
        As `archive.read_header` gives it.
    from_uid, to_uid : str
        The transfer syntaxes in which it is stored and sent. If both encode elements in the same way, they are
        copied.

    Raises
    ------
    CannotTranscode
        An element cannot be read.
    """
    target = encoding_of(to_uid)
    copied = encoding_of(from_uid) == target
    tags = sorted(tag for tag in header.keys() if _is_sent(tag))
    try:
        return b"".join(_encoded(header, tag, target, copied) for tag in tags)
    except PYDICOM_ERRORS as error:
        raise CannotTranscode(f"the header cannot be encoded: {type(error).__name__}") from None


def _is_sent(tag: BaseTag) -> bool:
    """Tell whether an attribute of the top level is sent; retired group lengths would be wrong (PS3.5 7.2)."""
    repeating = (tag.group >> 8, tag.element) in _NOT_INCLUDED_REPEATING and tag.group % 2 == 0
    return int(tag) not in _NOT_INCLUDED and not repeating and tag.element != 0


def _encoded(header: Dataset, tag: BaseTag, target: Encoding, copied: bool) -> bytes:
    stored = header.get_item(tag)
    if copied and tag != _WAVEFORM_SEQUENCE and (stored.VR or target.implicit_vr):
        return write_element(stored, target, ())
    element = element_of(header, tag)
    if element is None:
        raise CannotTranscode(f"the header cannot be encoded: {tag} cannot be read")
    if tag == _WAVEFORM_SEQUENCE:
        for item in element.value:
            item.pop(_WAVEFORM_DATA, None)
    return write_element(element, target, header.original_character_set)


def send_without_bulk_data(association: Association, instance: StoredInstance, node: Node) -> int:
    """Send the C-STORE request of an instance without its bulk data.

    Returns
    -------
    int
        The Message ID that the answer will bear.

    Raises
    ------
    CannotTranscode
        The peer accepted no presentation context for the instance, or its header cannot be encoded again.
    """
    context = _choose_context(association, instance)
    header = archive.read_header(node, instance)
    data_set = header_without_bulk_data(header, instance.transfer_syntax_uid, context.transfer_syntax_uid)
    message_id = next_message_id()
    command_set = store_request(instance.sop_class_uid, instance.sop_instance_uid, message_id)
    association.send_message(context.context_id, command_set, data_set)
    return message_id


def _choose_context(association: Association, instance: StoredInstance) -> AcceptedContext:
    """Return any context of the SOP class: without pixel data only the encoding of the data set matters."""
    contexts = [
        context
        for context in association.contexts.values()
        if context.abstract_syntax == instance.sop_class_uid
        and context.as_scu
        and not transfer_syntax(context.transfer_syntax_uid).deflated
    ]
    if not contexts:
        raise CannotTranscode("the peer accepted no presentation context for the instance")
    return next((one for one in contexts if one.transfer_syntax_uid == instance.transfer_syntax_uid), contexts[0])
