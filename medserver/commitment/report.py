"""What is told of a transaction (PS3.4 table J.3-2)."""

from __future__ import annotations

from medserver.dicom.storage_commitment import (
    ALL_COMMITTED,
    FAILURES_EXIST,
    SAFE,
    Commitment,
    encode_commitment,
)
from medserver.index import StoredCommitment
from medserver.node import Node


def make_report(node: Node, stored: StoredCommitment, transfer_syntax_uid: str) -> tuple[int, bytes]:
    """Return the Event Type and the encoded Event Information of a transaction that has been checked.

    Every instance of the request is in it, in the order of the request.
    """
    references = []
    for reference, is_known in node.index.commitments.instances(stored.id):
        assert is_known, "a transaction is checked when all instances are decided"
        references.append(reference)
    event_type_id = ALL_COMMITTED if all(one.reason == SAFE for one in references) else FAILURES_EXIST
    commitment = Commitment(stored.transaction_uid, tuple(references))
    retrieve_ae_title = node.config.current.node.ae_title
    return event_type_id, encode_commitment(commitment, transfer_syntax_uid, retrieve_ae_title)
