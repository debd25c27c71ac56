"""Which SOP classes and transfer syntaxes a remote AE accepts, found out by proposing them.

A context shows one transfer syntax at most, so that each takes a context of its own, and an association has 128.
First each SOP class is proposed once; then every transfer syntax, for the usual SOP classes among those accepted or
for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from pydicom.uid import UID

from medserver.dicom import uids
from medserver.errors import AssociationAborted
from medserver.scu.acceptance import SYNTAXES, SYNTAXES_PER_CONTEXT_MAX
from medserver.scu.query import IDENTIFIER_SYNTAXES
from medserver.wire.association import Association
from medserver.wire.requestor import CONTEXTS_MAX, Proposal

Associated = Callable[[Sequence[Proposal]], AbstractContextManager[Association]]
"""Opens an association with these contexts, and releases it."""

OTHER_SOP_CLASSES = (
    uids.VERIFICATION,
    uids.PATIENT_ROOT_FIND,
    uids.PATIENT_ROOT_MOVE,
    uids.PATIENT_ROOT_GET,
    uids.STUDY_ROOT_FIND,
    uids.STUDY_ROOT_MOVE,
    uids.STUDY_ROOT_GET,
    uids.PATIENT_STUDY_ONLY_FIND,
    uids.PATIENT_STUDY_ONLY_MOVE,
    uids.PATIENT_STUDY_ONLY_GET,
    uids.COMPOSITE_INSTANCE_ROOT_RETRIEVE_MOVE,
    uids.COMPOSITE_INSTANCE_ROOT_RETRIEVE_GET,
    uids.COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET,
    "1.2.840.10008.5.1.4.31",  # Modality Worklist
    "1.2.840.10008.3.1.2.3.3",  # Modality Performed Procedure Step
    "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
    "1.2.840.10008.5.1.4.33",  # Instance Availability Notification
    "1.2.840.10008.5.1.4.34.6.1",  # Unified Procedure Step - Push
    "1.2.840.10008.5.1.1.9",  # Basic Grayscale Print Management
    "1.2.840.10008.5.1.1.18",  # Basic Color Print Management
)

USUAL_STORAGE = tuple(
    f"1.2.840.10008.5.1.4.1.1.{suffix}"
    for suffix in ("2", "4", "1", "1.1", "6.1", "3.1", "7", "7.4", "12.1", "128", "20", "77.1.1.1")
)
"""The storage classes whose transfer syntaxes are looked at: CT, MR, CR, DX, US, secondary capture, video ..."""


def sop_class_name(uid: str) -> str:
    """Return the name of a SOP class, the UID if it has none."""
    return uids.STORAGE_SOP_CLASSES.get(uid) or UID(uid).name


class Survey:
    """What one remote AE accepts.

    Parameters
    ----------
    associated : callable
        Opens associations with it.
    thorough : bool
        Whether the transfer syntaxes of all accepted storage classes are looked at.

    Attributes
    ----------
    accepted : list of str
        The SOP classes that it accepts as SCP.
    transfer_syntaxes : dict of str to list of str
        The transfer syntaxes that it accepts, of the storage classes that were looked at.
    """

    def __init__(self, associated: Associated, thorough: bool) -> None:
        self._associated = associated
        self._thorough = thorough
        self.accepted: list[str] = []
        self.transfer_syntaxes: dict[str, list[str]] = {}

    @property
    def services(self) -> list[str]:
        """What it accepts apart from storage."""
        return [uid for uid in self.accepted if uid not in uids.STORAGE_SOP_CLASSES]

    @property
    def storage(self) -> list[str]:
        """The storage classes that it accepts."""
        return [uid for uid in self.accepted if uid in uids.STORAGE_SOP_CLASSES]

    def run(self) -> None:
        """Find it out; what was found before a failure stays.

        Raises
        ------
        RemoteError
            An association was not accepted or broke.
        """
        usual = SYNTAXES[:SYNTAXES_PER_CONTEXT_MAX]
        proposals = [Proposal(uid, IDENTIFIER_SYNTAXES) for uid in OTHER_SOP_CLASSES]
        proposals += [Proposal(uid, usual) for uid in uids.STORAGE_SOP_CLASSES]
        for proposal, _ in self._propose(proposals):
            self.accepted.append(proposal.abstract_syntax)
        looked_at = self.storage if self._thorough else [uid for uid in USUAL_STORAGE if uid in self.accepted]
        each = [Proposal(uid, (syntax.uid,)) for uid in looked_at for syntax in uids.TRANSFER_SYNTAXES]
        for proposal, transfer_syntax_uid in self._propose(each):
            self.transfer_syntaxes.setdefault(proposal.abstract_syntax, []).append(transfer_syntax_uid)

    def by_transfer_syntaxes(self) -> list[tuple[list[str], tuple[str, ...]]]:
        """Return the storage classes that were looked at, those together that have the same transfer syntaxes."""
        groups: dict[tuple[str, ...], list[str]] = {}
        for uid, syntaxes in self.transfer_syntaxes.items():
            groups.setdefault(tuple(syntaxes), []).append(uid)
        return [(sop_class_uids, syntaxes) for syntaxes, sop_class_uids in groups.items()]

    def _propose(self, proposals: list[Proposal]):
        """Yield each accepted proposal with the transfer syntax that was chosen."""
        for start in range(0, len(proposals), CONTEXTS_MAX):
            group = proposals[start : start + CONTEXTS_MAX]
            try:
                with self._associated(group) as association:
                    contexts = sorted(association.contexts.values())
            except AssociationAborted:
                continue  # none of these contexts was accepted, or the remote AE cannot read so many
            for context in contexts:
                if context.as_scu:
                    yield group[context.context_id // 2], context.transfer_syntax_uid
