"""New UIDs for what an external program has made, and what it is: for ``new_uids = yes``. A job of worker processes.

Many a program changes the pixels of a copy of what it is given and leaves the header as it was. What it has made then
becomes instances of their own, in series of their own, which say what they were made of and by what.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from medserver.errors import ObjectNotReadable
from medserver.processing.codes import SOURCE_IMAGE, Code
from medserver.processing.commands.folders import dicom_files
from medserver.processing.parameters import Values
from medserver.processing.pixels.results import note_creation, processing_equipment, series_number, set_sequence
from medserver.processing.task import Task
from medserver.processing.types import ProcessingType

_LONG_STRING_MAX, _SHORT_TEXT_MAX = 64, 1024


@dataclass(slots=True)
class _Renewal:
    """Which UID becomes which.

    Parameters
    ----------
    task : Task
        Of which the new ones are made.
    sources : Mapping of str to (str, str)
        SOP Instance UID of each input -> its SOP Class UID and Series Instance UID.
    """

    task: Task
    sources: Mapping[str, tuple[str, str]]
    instances: dict[str, str] = field(default_factory=dict)
    series: dict[str, str] = field(default_factory=dict)

    def note(self, dataset: Dataset) -> None:
        """Give the instance a new UID, and its series if it is the first of it."""
        instance, series = str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID)
        if instance in self.instances:
            raise ObjectNotReadable(f"two outputs have the UID {instance}")
        self.instances[instance] = self.task.uid("instance", len(self.instances) + 1)
        self.series.setdefault(series, self.task.uid("series", len(self.series) + 1))

    def apply(self, dataset: Dataset) -> None:
        """Make an instance of its own of a data set."""
        instance, series = str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID)
        kept = {*self.sources, *(series for _, series in self.sources.values())}
        renewed = {old: new for old, new in (self.instances | self.series).items() if old not in kept}
        for item in _items(dataset):
            for element in item.elements():
                if element.VR == "UI":
                    _replace(item, element.tag, renewed)
        dataset.SOPInstanceUID, dataset.SeriesInstanceUID = self.instances[instance], self.series[series]
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        if series in kept:
            dataset.SeriesNumber = series_number(dataset)
            label = self.task.kind.name
            description = str(dataset.get("SeriesDescription") or "").strip()
            cut = description[: _LONG_STRING_MAX - len(label) - 1]
            dataset.SeriesDescription = f"{cut} {label}".strip()
        self._describe(dataset, instance)

    def _describe(self, dataset: Dataset, instance: str) -> None:
        kind = self.task.kind
        if "Rows" in dataset:
            image_type = list(dataset.get("ImageType") or ["ORIGINAL", "PRIMARY"])
            dataset.ImageType = ["DERIVED", *image_type[1:]]
            before = str(dataset.get("DerivationDescription") or "")
            dataset.DerivationDescription = "; ".join(filter(None, (before, kind.meaning)))[-_SHORT_TEXT_MAX:]
            if instance in self.sources or "SourceImageSequence" not in dataset:
                sources = [instance] if instance in self.sources else list(self.sources)
                dataset.SourceImageSequence = Items(self._reference(uid) for uid in sources)
        added = Dataset()
        set_sequence(added, "ContributingEquipmentSequence", [processing_equipment(self.task)])
        before = list(dataset.get("ContributingEquipmentSequence") or ())
        dataset.ContributingEquipmentSequence = Items([*before, *added.ContributingEquipmentSequence])
        note_creation(self.task, dataset)

    def _reference(self, sop_instance_uid: str) -> Dataset:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = self.sources[sop_instance_uid][0], sop_instance_uid
        item.PurposeOfReferenceCodeSequence = Items([_coded(SOURCE_IMAGE)])
        return item


def renew(
    type_name: str,
    version: str,
    meaning: str,
    inputs: str,
    outputs: str,
    parameters: Mapping[str, Values],
    workitem_uid: str,
    moment: str,
) -> int:
    """Give all results new UIDs, the same ones for the same work item, and say in each how it was made.

    Parameters
    ----------
    type_name, version, meaning : str
        Of the type.
    inputs, outputs : str
        The folders.
    parameters : Mapping
        The values of its parameters.
    workitem_uid : str
        The SOP Instance UID of the work item.
    moment : str
        When the work began, ``YYYYMMDDHHMMSS``.

    Returns
    -------
    int
        How many there are.

    Raises
    ------
    ObjectNotReadable
        One is no DICOM file, or two have the same UID.
    """
    kind = ProcessingType(type_name, meaning, version, (), "study", (), "", False, "")
    task = Task(kind, [], dict(parameters), workitem_uid, Path(outputs), moment=moment)
    renewal = _Renewal(task, dict(_sources(Path(inputs))))
    paths = dicom_files(Path(outputs))
    for path in paths:
        renewal.note(_read(path, is_whole=False))
    for path in paths:
        dataset = _read(path)
        renewal.apply(dataset)
        renewed = path.with_name(f"{path.name}.new")
        dataset.save_as(renewed, enforce_file_format=True)
        os.replace(renewed, path)
    return len(paths)


def _sources(folder: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    for path in dicom_files(folder):
        dataset = _read(path, is_whole=False)
        yield str(dataset.SOPInstanceUID), (str(dataset.SOPClassUID), str(dataset.SeriesInstanceUID))


def _read(path: Path, *, is_whole: bool = True) -> Dataset:
    wanted = None if is_whole else ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"]
    try:
        dataset = dcmread(path, stop_before_pixels=not is_whole, specific_tags=wanted)
        if not dataset.SOPInstanceUID or not dataset.SeriesInstanceUID or not dataset.SOPClassUID:
            raise ObjectNotReadable(f"output {path.name} has no UIDs")
    except (MemoryError, ObjectNotReadable):
        raise
    except Exception as error:  # pydicom raises anything for what is not DICOM
        raise ObjectNotReadable(f"output {path.name}: {error}") from error
    return dataset


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """Yield a data set, and the items of its sequences, at any depth."""
    yield dataset
    for element in dataset.elements():
        if element.VR == "SQ":
            for item in dataset[element.tag].value or ():
                yield from _items(item)


def _replace(dataset: Dataset, tag: int, renewed: Mapping[str, str]) -> None:
    element = dataset[tag]
    if element.VM > 1:
        element.value = [renewed.get(str(each), each) for each in element.value]
    elif element.value:
        element.value = renewed.get(str(element.value), element.value)


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item
