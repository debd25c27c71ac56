"""Composite Instance Retrieve Without Bulk Data: the header of an instance, sent alone (PS3.4 Z)."""

from __future__ import annotations

from pydicom.dataset import Dataset

from medserver import archive
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.dicom.uids import transfer_syntax
from medserver.errors import CannotTranscode
from medserver.index import StoredInstance
from medserver.node import Node
from medserver.scu.exchange import encode_data_set, next_message_id
from medserver.scu.storage import store_request
from medserver.wire.association import AcceptedContext, Association

# PS3.4 table Z.1-1; groups 50xx and 60xx repeat.
_NOT_INCLUDED = frozenset({0x7FE00010, 0x7FE00008, 0x7FE00009, 0x00287FE0, 0x56000020, 0x00420011})
_NOT_INCLUDED_REPEATING = frozenset({(0x60, 0x3000), (0x50, 0x3000), (0x50, 0x200C)})
_WAVEFORM_SEQUENCE = 0x54000100
_WAVEFORM_DATA = 0x54001010


def remove_bulk_data(dataset: Dataset) -> None:
    """Remove the attributes that the service does not send (PS3.4 Z.1.3), from the top level and from waveforms."""
    for tag in list(dataset.keys()):
        repeating = (tag.group >> 8, tag.element) in _NOT_INCLUDED_REPEATING and tag.group % 2 == 0
        if int(tag) in _NOT_INCLUDED or repeating:
            del dataset[tag]
    if _WAVEFORM_SEQUENCE in dataset:
        for item in dataset[_WAVEFORM_SEQUENCE].value:
            if _WAVEFORM_DATA in item:
                del item[_WAVEFORM_DATA]


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
    header = archive.read_header(node, instance, verified=True)
    try:
        remove_bulk_data(header)
        data_set = encode_data_set(header, context.transfer_syntax_uid)
    except PYDICOM_ERRORS as error:
        raise CannotTranscode(f"the header cannot be encoded: {type(error).__name__}") from None
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
