"""The load of a campaign of power cuts: that of a campaign of kills, and all that changes what is stored.

Modalities send other versions of what they sent, and the same again; somebody deletes, and some of that is sent again.
Each instance belongs to one sender at a time, who notes what is asked and what is answered, in its order.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy
from pydicom.dataset import Dataset

from medserver.dicom import uids
from medserver.dicom.data_sets import write_data_set
from medserver.scu.normalized import create_instance, proposal, set_instance
from medserver.wire.association import Association
from medserver.wire.requestor import Proposal
from tests.crash.load import EXPLICIT, SECONDARY_CAPTURE, Load, digest_of, store
from tests.crash.power.ledger import mark

STEP = uids.MODALITY_PERFORMED_PROCEDURE_STEP
SIDE, LARGE_SIDE = 64, 768
"""The smaller images fit into memory until they are stored, the larger ones do not."""
VERSIONS_MAX = 3


class Witness(Protocol):
    """Who notes what was asked and answered."""

    def acknowledge(self, what: str) -> None:
        """Note a mark."""

    def end(self) -> None:
        """Note that what follows does not count."""


@dataclass
class Image:
    """An instance of which there are several versions.

    Parameters
    ----------
    sop_instance_uid, study_instance_uid : str
        Which: it is the only one of its study.
    side : int
        Rows and columns.
    versions : list of tuple (Dataset, bytes)
        What may be sent.
    """

    sop_instance_uid: str
    study_instance_uid: str
    side: int
    versions: list[tuple[Dataset, bytes]] = field(default_factory=list)

    def add_version(self, chance: random.Random) -> None:
        """Make another version: its pixels are others."""
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = SECONDARY_CAPTURE, self.sop_instance_uid
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = self.study_instance_uid
        dataset.PatientID, dataset.PatientName, dataset.Modality = "CRASH", "Crash^Test", "OT"
        dataset.Rows = dataset.Columns = self.side
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        noise = numpy.random.default_rng(chance.randrange(2**32)).integers(0, 200, (self.side, self.side))
        dataset.PixelData = noise.astype("<u2").tobytes()
        self.versions.append((dataset, write_data_set(dataset, uids.EXPLICIT_VR_LITTLE_ENDIAN)))


class PowerLoad(Load):
    """The load; all of it is marked.

    Attributes
    ----------
    witness : Witness
        Who notes it.
    images : dict of str to Image
        The instances that have versions.
    deletable : list of str
        What may be deleted: studies, and instances that have versions.
    """

    witness: Witness

    def __init__(self, node, seed: int) -> None:
        super().__init__(node, seed)
        self.images: dict[str, Image] = {}
        self.deletable: list[str] = []
        self._variables: dict[str, str] = {}
        self._free: list[str] = []
        self._free_lock = threading.Lock()

    def begin(self, witness: Witness, variables: dict[str, str], deletable: list[str]) -> None:
        """Begin anew, with what may be deleted; the environment variables are those of who deletes."""
        self.witness, self._variables, self.deletable = witness, variables, deletable
        self._free = [uid for uid in self.images if uid not in deletable]

    def works(self) -> list[Callable[[threading.Event, random.Random], None]]:
        """Return more."""
        return [*super().works(), self._report, self._delete, self._vary, self._vary]

    def acknowledge(self, study: str, sop_instance_uid: str, digest: str) -> None:
        """Mark it as well."""
        self.witness.acknowledge(mark("instance", study, sop_instance_uid, digest))
        super().acknowledge(study, sop_instance_uid, digest)

    def _report(self, stop: threading.Event, chance: random.Random) -> None:
        association = self.associate("STORESCU", proposal(STEP))
        while not stop.wait(0.05):
            uid = uids.new_uid()
            if create_instance(association, STEP, uid, _step()).code == 0:
                self.witness.acknowledge(mark("step", uid, "IN PROGRESS"))
            if chance.random() < 0.7 and set_instance(association, STEP, uid, _end()).code == 0:
                self.witness.acknowledge(mark("step", uid, "COMPLETED"))
        association.release()

    def _delete(self, stop: threading.Event, chance: random.Random) -> None:
        while self.deletable and not stop.wait(0.2):
            uid = self.deletable.pop()
            if uid in self.images:
                self._delete_image(self.images[uid], stop, chance)
            else:
                self.witness.acknowledge(mark("deleting", uid))
                if self._order(uid):
                    self.witness.acknowledge(mark("deleted", uid))

    def _delete_image(self, image: Image, stop: threading.Event, chance: random.Random) -> None:
        """Have an image deleted, and perhaps send it again a moment later."""
        self.witness.acknowledge(mark("ordering", image.sop_instance_uid))
        if not self._order(image.study_instance_uid):
            return
        self.witness.acknowledge(mark("answered", image.sop_instance_uid))
        if chance.random() < 0.7:
            stop.wait(chance.choice([0.0, 0.0, 0.5]))
            association = self.associate("STORESCU", Proposal(SECONDARY_CAPTURE, EXPLICIT))
            self._send_version(association, image, chance.choice(image.versions))
            association.release()

    def _order(self, study: str) -> bool:
        command = ("store", "delete", study, "--force", "--reason", "a test")
        return self._node.forked(*command, environment=self._variables).exit_code == 0

    def _vary(self, stop: threading.Event, chance: random.Random) -> None:
        association = self.associate("STORESCU", Proposal(SECONDARY_CAPTURE, EXPLICIT))
        while not stop.wait(0.01):
            image = self._take(chance)
            if len(image.versions) < VERSIONS_MAX and (not image.versions or chance.random() < 0.4):
                image.add_version(chance)
                version = image.versions[-1]
            else:
                version = chance.choice(image.versions)
            self._send_version(association, image, version)
            with self._free_lock:
                self._free.append(image.sop_instance_uid)
        association.release()

    def _take(self, chance: random.Random) -> Image:
        """Take an instance from those that nobody has, or a new one."""
        with self._free_lock:
            if self._free and chance.random() < 0.7:
                return self.images[self._free.pop(chance.randrange(len(self._free)))]
            image = Image(uids.new_uid(), uids.new_uid(), LARGE_SIDE if chance.random() < 0.1 else SIDE)
            self.images[image.sop_instance_uid] = image
            return image

    def _send_version(self, association: Association, image: Image, version: tuple[Dataset, bytes]) -> None:
        dataset, data_set = version
        pixels = hashlib.sha256(dataset.PixelData).hexdigest()
        self.witness.acknowledge(mark("sending", image.sop_instance_uid, digest_of(data_set), pixels))
        if store(association, dataset, data_set) == 0:
            self.witness.acknowledge(mark("answered", image.sop_instance_uid))


def _step() -> Dataset:
    scheduled = Dataset()
    scheduled.StudyInstanceUID = uids.new_uid()
    step = Dataset()
    step.ScheduledStepAttributesSequence = [scheduled]
    step.PerformedProcedureStepID, step.PerformedStationAETitle = "S1", "STORESCU"
    step.PerformedProcedureStepStartDate, step.PerformedProcedureStepStartTime = "20260131", "101112"
    step.PerformedProcedureStepStatus, step.Modality = "IN PROGRESS", "OT"
    return step


def _end() -> Dataset:
    changes = Dataset()
    changes.PerformedProcedureStepStatus = "COMPLETED"
    changes.PerformedProcedureStepEndDate, changes.PerformedProcedureStepEndTime = "20260131", "102000"
    series = Dataset()
    series.SeriesInstanceUID, series.ProtocolName = uids.new_uid(), "Head"
    changes.PerformedSeriesSequence = [series]
    return changes
