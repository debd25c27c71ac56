"""What a node has acknowledged, and the proof that it is there."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy

from medserver import archive
from medserver.dicom.conditions import SingleValue
from medserver.node import Node
from tests.crash.power.archive import content_of, is_harmless, perform_jobs


class Ledger:
    """What was acknowledged up to a moment.

    Attributes
    ----------
    instances : dict of str to dict of str to str
        Study -> instance -> SHA-256 of its data set, of studies that nobody has wanted to delete.
    deleted : set of str
        Studies whose deletion was acknowledged.
    steps : dict of str to str
        Performed procedure step -> state.
    """

    def __init__(self) -> None:
        self.instances: dict[str, dict[str, str]] = {}
        self.deleted: set[str] = set()
        self.steps: dict[str, str] = {}

    def after(self, marks: tuple[str, ...]) -> Ledger:
        """Return what was acknowledged after some more marks, see `mark`."""
        later = deepcopy(self)
        for text in marks:
            kind, *arguments = json.loads(text)
            getattr(later, f"_note_{kind}")(*arguments)
        return later

    def _note_instance(self, study: str, sop_instance_uid: str, digest: str) -> None:
        self.instances.setdefault(study, {})[sop_instance_uid] = digest

    def _note_step(self, sop_instance_uid: str, state: str) -> None:
        self.steps[sop_instance_uid] = state

    def _note_deleting(self, study: str) -> None:
        """From now on nobody knows."""
        self.instances.pop(study, None)

    def _note_deleted(self, study: str) -> None:
        self.deleted.add(study)

    @property
    def count(self) -> int:
        """How many instances there are to be."""
        return sum(map(len, self.instances.values()))

    def check(self, node: Node, what: str, *, to_the_end: bool) -> None:
        """Start a node that has lost its power, and check that everything is there.

        Parameters
        ----------
        node : Node
            Just opened.
        what : str
            For the message.
        to_the_end : bool
            Whether to let a worker do what is left, and check again.
        """
        archive.reconcile(node)
        self._check_present(node, what)
        if to_the_end:
            perform_jobs(node)
            self._check_present(node, f"{what}, after its jobs")
            kept = [study for study in self.deleted if any(node.index.select([SingleValue("StudyInstanceUID", study)]))]
            assert not kept, f"{what}: deleted studies are there: {kept}"
            copies = node.index.upkeep.tally().copies
            assert set(copies) <= {2}, f"{what}: objects by copies: {copies}"
        wrong = [finding for finding in archive.check(node, digests=True) if not is_harmless(node, finding)]
        assert not wrong, f"{what}: {wrong}"

    def _check_present(self, node: Node, what: str) -> None:
        for study, instances in self.instances.items():
            for uid, digest in instances.items():
                found = [hashlib.sha256(content).hexdigest() for content in content_of(node, uid)]
                assert found == [digest], f"{what}: instance {uid} of study {study} is lost or changed: {found}"
        states = {step.sop_instance_uid: step.state for step in node.index.performed_steps.all()}
        wrong = [uid for uid, state in self.steps.items() if states.get(uid) not in (state, "COMPLETED")]
        assert not wrong, f"{what}: performed procedure steps are lost: {wrong}"


def mark(kind: str, *arguments: str) -> str:
    """Return the text of a mark: ``instance``, ``step``, ``deleting`` or ``deleted``."""
    return json.dumps([kind, *arguments])
