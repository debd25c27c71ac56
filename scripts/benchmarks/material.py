"""What is exchanged: made once a run, the same for every candidate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from tests.peers.files import make_series, make_small


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes
    ----------
    ct_images : int
        Images of 526 kB in one study.
    mr_images : int
        Images of 10 kB in one study.
    studies : int
        Studies of one image, for queries.
    echoes : int
        Requests whose median is taken.
    associations : int
        Associations that are idle.
    idle_s : float
        For how long.
    object_bytes : int
        The size of the large object.
    few : int
        How many of each where a peer needs 45 ms for each message.
    """

    ct_images: int
    mr_images: int
    studies: int
    echoes: int
    associations: int
    idle_s: float
    object_bytes: int
    few: int


FULL = Sizes(
    ct_images=500,
    mr_images=2_000,
    studies=20_000,
    echoes=2_000,
    associations=500,
    idle_s=10.0,
    object_bytes=2 * 2**30,
    few=100,
)
QUICK = Sizes(
    ct_images=10,
    mr_images=50,
    studies=100,
    echoes=50,
    associations=20,
    idle_s=0.5,
    object_bytes=8 * 2**20,
    few=5,
)


@dataclass(frozen=True)
class Study:
    """The files of one study."""

    study_instance_uid: str
    paths: list[Path]

    def parts(self, count: int) -> list[list[Path]]:
        """Return the files dealt out to `count` senders."""
        return [self.paths[index::count] for index in range(count)]

    def first(self, count: int) -> Study:
        """Return the same study with its first files only."""
        return replace(self, paths=self.paths[:count])

    def load(self) -> None:
        """Read every file, so that it is in the page cache for whoever sends it."""
        for path in self.paths:
            path.read_bytes()


class Material:
    """The studies, each made when it is first asked for.

    Parameters
    ----------
    folder : Path
        Where the files are written.
    sizes : Sizes
        How many.
    """

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self.folder = folder
        self.sizes = sizes

    def study(self, modality: str) -> Study:
        """Return the study of CT or of MR images."""
        return {"CT": self._ct, "MR": self._mr}[modality]

    @cached_property
    def few(self) -> Material:
        """The same, but only few of each."""
        few = self.sizes.few
        sizes = replace(self.sizes, ct_images=few, mr_images=few, studies=few, echoes=few)
        return Material(self.folder / "few", sizes)

    @cached_property
    def _ct(self) -> Study:
        uid = generate_uid()
        samples = make_series(self.folder / "ct", self.sizes.ct_images, study_instance_uid=uid)
        return Study(str(uid), [sample.path for sample in samples])

    @cached_property
    def _mr(self) -> Study:
        samples = make_small(self.folder / "mr", self.sizes.mr_images)
        return Study(_study_instance_uid(samples[0].path), [sample.path for sample in samples])

    @cached_property
    def many_studies(self) -> list[Path]:
        """The files of many studies of one small object each."""
        folder = self.folder / "many"
        folder.mkdir(parents=True)
        paths = [folder / f"{number:06}.dcm" for number in range(self.sizes.studies)]
        for number, path in enumerate(paths):
            _one_of_many(number).save_as(path, enforce_file_format=True)
        return paths


def _study_instance_uid(path: Path) -> str:
    return str(dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


def _one_of_many(number: int) -> Dataset:
    """Return an object that is a study, and mostly a patient, of its own."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.StudyDate, dataset.StudyTime = f"2026{number % 12 + 1:02}{number // 12 % 28 + 1:02}", "101112"
    dataset.AccessionNumber, dataset.StudyID = f"A{number:07}", str(number)
    dataset.StudyDescription, dataset.Modality, dataset.ConversionType = "Made for measuring", "OT", "WSD"
    dataset.PatientID, dataset.PatientName = f"ID{number // 2:07}", f"Measured^Patient{number // 2:07}"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.ReferringPhysicianName = "19700101", "O", ""
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    return dataset
