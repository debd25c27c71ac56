"""What a node has acknowledged, and the proof that it is there."""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from copy import deepcopy

from pydicom.dataset import FileMetaDataset
from pydicom.filereader import read_dataset

from medserver import archive
from medserver.archive import Finding, Problem
from medserver.archive.copies import as_stored
from medserver.dicom.conditions import SingleValue
from medserver.index import StoredCopy
from medserver.node import Node
from medserver.safekeeping.pace import Pace
from medserver.safekeeping.verification import verify_copies
from tests.clock import Clock
from tests.crash.power.archive import content_of, is_harmless, perform_jobs, read_object
from tests.crash.power.versions import KEEP, History, State


class Ledger:
    """What was acknowledged up to a moment.

    Parameters
    ----------
    duplicates : str
        The rule of the archive.
    copies_before_success : int
        How many copies what was acknowledged has at least.

    Attributes
    ----------
    instances : dict of str to dict of str to str
        Study -> instance -> SHA-256 of its data set, of studies that nobody has wanted to delete.
    deleted : set of str
        Studies whose deletion was acknowledged.
    histories : dict of str to History
        Instances of which there are several versions.
    steps : dict of str to str
        Performed procedure step -> state.
    """

    def __init__(self, duplicates: str = KEEP, copies_before_success: int = 1) -> None:
        self._duplicates = duplicates
        self._copies = copies_before_success
        self.instances: dict[str, dict[str, str]] = {}
        self.deleted: set[str] = set()
        self.histories: dict[str, History] = {}
        self.steps: dict[str, str] = {}

    def after(self, marks: Iterable[str]) -> Ledger:
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

    def _note_sending(self, sop_instance_uid: str, version: str, pixels: str) -> None:
        self.histories.setdefault(sop_instance_uid, History(self._duplicates)).ask(version, pixels)

    def _note_ordering(self, sop_instance_uid: str) -> None:
        self.histories[sop_instance_uid].ask_for_deletion()

    def _note_answered(self, sop_instance_uid: str) -> None:
        self.histories[sop_instance_uid].answer()

    @property
    def count(self) -> int:
        """How many instances there are to be, those that have versions not counted."""
        return sum(map(len, self.instances.values()))

    def check(
        self,
        node: Node,
        clock: Clock,
        what: str,
        *,
        to_the_end: bool,
        damaged: Collection[tuple[str, str]] = (),
    ) -> None:
        """Start a node that has lost its power, and check that everything is there.

        Parameters
        ----------
        node : Node
            Just opened.
        clock : Clock
            Its clock.
        what : str
            For the message.
        to_the_end : bool
            Whether to let a worker do what is left, and check again.
        damaged : collection of tuple (str, str)
            Volume and path of copies that may be bad.
        """
        archive.reconcile(node)
        self.check_present(node, what, damaged)
        if to_the_end:
            self.check_at_rest(node, clock, f"{what}, after its jobs")
            damaged = ()
        wrong = [one for one in archive.check(node, digests=True) if not _is_allowed(node, one, damaged)]
        assert not wrong, f"{what}: {wrong}"

    def check_at_rest(self, node: Node, clock: Clock, what: str) -> None:
        """Let a worker do what is left, and what is found when all copies are read; and check that all is as it was."""
        perform_jobs(node, clock)
        for _ in verify_copies(node, list(node.index.locations()), Pace(None)):
            pass
        perform_jobs(node, clock)
        self.check_present(node, what, is_at_rest=True)
        kept = [study for study in self.deleted if any(node.index.select([SingleValue("StudyInstanceUID", study)]))]
        assert not kept, f"{what}: deleted studies are there: {kept}"
        copies = node.index.upkeep.tally().copies
        left = [f"{job.kind} {job.payload} {job.last_error}" for job in node.index.jobs.list()]
        assert set(copies) <= {len(node.volumes)}, f"{what}: objects by copies: {copies}; jobs: {left}"

    def check_present(
        self, node: Node, what: str, damaged: Collection[tuple[str, str]] = (), *, is_at_rest: bool = False
    ) -> None:
        """Check that all that was acknowledged is there, and nothing that was deleted."""
        for study, instances in self.instances.items():
            for uid, digest in instances.items():
                found = [hashlib.sha256(content).hexdigest() for content in content_of(node, uid)]
                assert found == [digest], f"{what}: instance {uid} of study {study} is lost or changed: {found}"
                if self._copies > 1:
                    _check_copies(node, uid, damaged)
        self._check_histories(node, what, is_at_rest)
        states = {step.sop_instance_uid: step.state for step in node.index.performed_steps.all()}
        wrong = [uid for uid, state in self.steps.items() if states.get(uid) not in (state, "COMPLETED")]
        assert not wrong, f"{what}: performed procedure steps are lost: {wrong}"

    def _check_histories(self, node: Node, what: str, is_at_rest: bool) -> None:
        others: defaultdict[str, list[StoredCopy]] = defaultdict(list)
        for copy in node.index.duplicates():
            others[copy.sop_instance_uid].append(copy)
        for uid, history in self.histories.items():
            current = list(node.index.select([SingleValue("SOPInstanceUID", uid)]))
            found = State(
                frozenset(_version(node, history, copy, what) for copy in (*current, *others[uid])),
                _version(node, history, current[0], what) if current else "",
            )
            right = history.states_at_rest() if is_at_rest else history.states()
            assert found in {state._replace(ordered=frozenset()) for state in right}, (
                f"{what}: instance {uid} is {found}, and should be one of {right}"
            )


def _check_copies(node: Node, sop_instance_uid: str, damaged: Collection[tuple[str, str]]) -> None:
    """Check that an instance is on each volume, also where a power cut has taken the row of a copy."""
    [copy] = node.index.select([SingleValue("SOPInstanceUID", sop_instance_uid)])
    for volume in node.volumes.values():
        if (volume.name, copy.path) not in damaged:
            volume.verify(as_stored(copy))


def _version(node: Node, history: History, copy: StoredCopy, what: str) -> str:
    """Return which version an object is, or was made from; its content must be what was sent."""
    content = read_object(node, copy)
    where = f"{what}: {copy.path} of instance {copy.sop_instance_uid}"
    if copy.digest in history.pixels:
        assert hashlib.sha256(content).hexdigest() == copy.digest, f"{where} has other bytes"
        return copy.digest
    original = node.index.forms.original_of(copy.key)
    assert original is not None and original.digest in history.pixels, f"{where} was never sent"
    pixels = _pixels_of(content, copy.transfer_syntax_uid)
    assert hashlib.sha256(pixels).hexdigest() == history.pixels[original.digest], f"{where} has other pixels"
    return original.digest


def _pixels_of(content: bytes, transfer_syntax_uid: str) -> bytes:
    dataset = read_dataset(io.BytesIO(content), False, True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    return dataset.pixel_array.tobytes()


def _is_allowed(node: Node, finding: Finding, damaged: Collection[tuple[str, str]]) -> bool:
    is_damaged = finding.problem == Problem.DAMAGED and (finding.volume, finding.path) in damaged
    return is_damaged or is_harmless(node, finding)


def mark(kind: str, *arguments: str) -> str:
    """Return the text of a mark: which are the methods ``_note_...`` of `Ledger`."""
    return json.dumps([kind, *arguments])
