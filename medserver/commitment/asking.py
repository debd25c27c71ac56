"""We ask a peer whether instances are safe there (PS3.4 J.3.2.1.2).

Each request is in the index before it goes out: its report may come on another association, to the running node.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from medserver.dicom import status
from medserver.dicom.storage_commitment import Commitment, Reference
from medserver.dicom.uids import new_uid
from medserver.errors import RemoteError
from medserver.index import Index, NewCommitment
from medserver.scu.commitment import CommitmentRequestor
from medserver.wire.association import Association

REFERENCES_PER_REQUEST = 10_000
LOOK_INTERVAL_S = 0.1
"""How often it is looked whether the node has taken a report."""


class Inquiry:
    """What is asked of one peer; on one association, and on as many transactions as it needs.

    Parameters
    ----------
    index : Index
        Where requests and reports are written down.
    association : Association
        To ask on.
    ae_title : str
        The AE title of the peer.
    remote : str
        The name of its ``[ae NAME]`` entry; empty if it has none.

    Attributes
    ----------
    numbers : list of int
        The transactions.
    """

    def __init__(self, index: Index, association: Association, ae_title: str, remote: str = "") -> None:
        self.numbers: list[int] = []
        self._index = index
        self._ae_title = ae_title
        self._remote = remote
        self._requestor = CommitmentRequestor(association, self._receive, REFERENCES_PER_REQUEST)

    def ask(self, references: Sequence[Reference]) -> None:
        """Ask for the commitment of instances.

        Raises
        ------
        RemoteError
            The peer does not take the request.
        """
        for start in range(0, len(references), REFERENCES_PER_REQUEST):
            some = tuple(references[start : start + REFERENCES_PER_REQUEST])
            transaction_uid = new_uid()
            new = NewCommitment("scu", transaction_uid, self._ae_title, self._remote, some)
            number = self._index.commitments.ask(new)
            self.numbers.append(number)
            # If the association breaks now nobody knows whether the request arrived: it stays open for a report.
            response = self._requestor.request(Commitment(transaction_uid, some))
            if response.code != status.SUCCESS:
                self._index.commitments.finish(number, "refused")
                answer = status.describe(response.code, response.comment)
                raise RemoteError(f"{self._ae_title} answered the N-ACTION with {answer}")

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything is reported, here or to the running node; False if that takes too long."""
        deadline = time.monotonic() + timeout_s
        while not self._is_reported():
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                return False
            pause_s = min(remaining_s, LOOK_INTERVAL_S)
            if self._requestor.is_open:
                self._requestor.wait(pause_s)
            else:
                time.sleep(pause_s)
        return True

    @property
    def is_open(self) -> bool:
        """Whether the association is still there."""
        return self._requestor.is_open

    def _is_reported(self) -> bool:
        return all(self._index.commitments.state(number) == "reported" for number in self.numbers)

    def _receive(self, commitment: Commitment) -> int:
        number = self._index.commitments.record_report(
            self._ae_title, commitment.transaction_uid, commitment.references
        )
        return status.INVALID_ARGUMENT_VALUE if number is None else status.SUCCESS
