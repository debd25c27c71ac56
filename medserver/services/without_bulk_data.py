"""Composite Instance Retrieve Without Bulk Data: the header of an instance, sent alone (PS3.4 Z).

Which attributes are left out is in `codecs.data_sets.bulk_data`.
"""

from __future__ import annotations

from medserver import archive, codecs
from medserver.dicom.uids import transfer_syntax
from medserver.errors import CannotTranscode
from medserver.index import StoredCopy
from medserver.node import Node
from medserver.scu.exchange import next_message_id
from medserver.scu.padding import send_data_set
from medserver.scu.storage import store_request
from medserver.wire.association import AcceptedContext, Association


def send_without_bulk_data(association: Association, instance: StoredCopy, node: Node) -> int:
    """Send the C-STORE request of an instance without its bulk data.

    The request begins when the whole data set has been read, so that a damaged one is never sent as far as it goes.

    Returns
    -------
    int
        The Message ID that the answer will bear.

    Raises
    ------
    CannotTranscode
        The peer accepted no presentation context for the instance, or its data set cannot be read to its end.
    TransferSyntaxNotSupported, OutOfResources, DamagedObject, StoreFailure
        The header cannot be made.
    AssociationAborted
        The association ended.
    """
    context = _choose_context(association, instance)
    with (
        archive.open_data_set(node, instance) as stored,
        codecs.leave_out_bulk_data(
            stored,
            instance.size_bytes,
            instance.transfer_syntax_uid,
            context.transfer_syntax_uid,
            node.transcoder.workers,
            node.transcoder.directory,
        ) as header,
        header.open() as data_set,
    ):
        message_id = next_message_id()
        command_set = store_request(instance.sop_class_uid, instance.sop_instance_uid, message_id)
        send_data_set(association, context.context_id, command_set, data_set, header.size_bytes)
    return message_id


def _choose_context(association: Association, instance: StoredCopy) -> AcceptedContext:
    """Return any context of the SOP class: without pixel data only the encoding of the data set matters.

    That of the stored object comes first, for its icon, and deflating comes last, for its cost.
    """
    contexts = [
        context
        for context in association.contexts.values()
        if context.abstract_syntax == instance.sop_class_uid and context.as_scu
    ]
    if not contexts:
        raise CannotTranscode("the peer accepted no presentation context for the instance")
    return min(
        contexts,
        key=lambda context: (
            context.transfer_syntax_uid != instance.transfer_syntax_uid,
            transfer_syntax(context.transfer_syntax_uid).deflated,
        ),
    )
