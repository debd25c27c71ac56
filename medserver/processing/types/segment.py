"""Voxels between two thresholds, all of them or those that are connected with a place: a DICOM segmentation.

References
----------
PS3.3 A.51 (Segmentation IOD), C.8.20.2 (Segmentation Image); PS3.16 CID 7150, CID 7151, CID 7162
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.sr.coding import Code as ConceptCode

from medserver import __version__ as VERSION
from medserver.dicom.character_sets import python_codecs
from medserver.errors import IncompleteObjectSet, ObjectNotReadable, UnusableParameters
from medserver.processing.pixels.geometry import Stack, stack_of
from medserver.processing.pixels.images import open_image, text_of, texts_of
from medserver.processing.pixels.results import (
    MANUFACTURER,
    note_creation,
    processing_equipment,
    series_number,
    set_sequence,
)
from medserver.processing.pixels.volume import Volume, read_series
from medserver.processing.task import Task

_ANATOMY = ConceptCode("123037004", "SCT", "Anatomical Structure")
_TISSUE = ConceptCode("85756007", "SCT", "Tissue")
_ALTERED = ConceptCode("49755003", "SCT", "Morphologically Altered Structure")
PROPERTIES = {
    "tissue": (_TISSUE, _TISSUE),
    "bone": (_ANATOMY, ConceptCode("272673000", "SCT", "Bone")),
    "lung": (_ANATOMY, ConceptCode("39607008", "SCT", "Lung")),
    "mass": (_ALTERED, ConceptCode("4147007", "SCT", "Mass")),
}
"""Segmented Property Category and Type."""

_FAMILIES = {
    "threshold": ConceptCode("123105", "DCM", "Histogram Analysis"),
    "region": ConceptCode("123101", "DCM", "Neighborhood Analysis"),
}


def segment(task: Task) -> None:
    """Write one segmentation of a stack."""
    low, high, seed = _bounds(task)
    stack = stack_of(task.sources)
    for number in task.numbers(1):
        series = read_series(stack, task.outputs)
        task.reached(0.1)
        voxels = Volume(stack, series, (0, 0, 0), stack.shape, task.outputs).voxels
        task.reached(0.2)
        rescale = series.rescale if series.is_uniform else None
        ends = [(end - rescale.intercept) / rescale.slope if rescale else end for end in (low, high)]
        mask = (voxels >= min(ends)) & (voxels <= max(ends))
        del voxels
        if seed is not None:
            mask = connected(mask, _index_of(stack, seed))
        if not mask.any():
            raise IncompleteObjectSet(f"no voxel has a value of {low:g} to {high:g}")
        task.reached(0.4)
        task.write(number, _segmentation(task, stack, mask))


def connected(mask: np.ndarray, index: tuple[int, int, int]) -> np.ndarray:
    """Return the voxels of a mask that are connected with one of them by their faces.

    Raises
    ------
    UnusableParameters
        That one is not in the mask.
    """
    from scipy import ndimage

    if not mask[index]:
        raise UnusableParameters("the value at the seed is not between the thresholds")
    labels, _ = ndimage.label(mask)
    return labels == labels[index]


def _bounds(task: Task) -> tuple[float, float, tuple[float, ...] | None]:
    """Return the thresholds and the seed.

    Raises
    ------
    UnusableParameters
        They contradict each other.
    """
    values = task.parameters
    low, high = values.get("lower"), values.get("upper")
    if low is None and high is None:
        raise UnusableParameters("lower, upper or both have to be given")
    low, high = (-np.inf if low is None else low), (np.inf if high is None else high)
    if low > high:
        raise UnusableParameters(f"lower is {low:g}, more than upper, {high:g}")
    if (values["method"] == "region") != ("seed" in values):
        raise UnusableParameters("a region grows from a seed: give both or neither")
    return low, high, values.get("seed")


def _index_of(stack: Stack, seed: tuple[float, ...]) -> tuple[int, int, int]:
    index = np.rint(stack.index_of(np.array(seed, float))).astype(int)
    if (index < 0).any() or (index >= stack.shape).any():
        raise UnusableParameters("the seed lies outside of the volume")
    return tuple(int(one) for one in index)


def _segmentation(task: Task, stack: Stack, mask: np.ndarray) -> Dataset:
    import highdicom

    headers = []
    for source in stack.sources:
        with open_image(source, task.outputs) as image:
            headers.append(image.dataset)
    task.reached(0.5)
    series = stack.sources[0].series_instance_uid
    method, name = str(task.parameters["method"]), str(task.parameters["label"])
    category, kind = PROPERTIES[str(task.parameters["property"])]
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=f"{MANUFACTURER} {task.kind.name} {method}", version=task.kind.version, family=_FAMILIES[method]
    )
    try:
        description = highdicom.seg.SegmentDescription(
            1, name[:64], category, kind, "AUTOMATIC" if method == "threshold" else "SEMIAUTOMATIC", algorithm,
            tracking_uid=task.uid("segment", series), tracking_id=name[:64],
        )  # fmt: skip
        made = highdicom.seg.Segmentation(
            headers, mask, "BINARY", [description], task.uid("series", series), series_number(headers[0]),
            task.uid("instance", 1), 1, MANUFACTURER, MANUFACTURER, VERSION, VERSION,
            content_description=f"{name[:40]}: {method}", content_label="SEGMENTATION",
        )  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ObjectNotReadable(f"these slices cannot be segmented: {error}") from error
    task.reached(0.9)
    return _determined(task, Dataset(made), headers[0], series)


def _determined(task: Task, dataset: Dataset, header: Dataset, series: str) -> Dataset:
    """Take the chance out of it: times of now, random UIDs; and say what it is and who did it."""
    dataset.set_original_encoding(False, True, python_codecs(texts_of(dataset, "SpecificCharacterSet")))
    organization = task.uid("dimension organization", series)
    for keyword in ("DimensionOrganizationSequence", "DimensionIndexSequence"):
        for item in dataset.get(keyword) or ():
            item.DimensionOrganizationUID = organization
    dates = [text_of(header, keyword) for keyword in ("ContentDate", "AcquisitionDate", "StudyDate")]
    times = [text_of(header, keyword) for keyword in ("ContentTime", "AcquisitionTime", "StudyTime")]
    dataset.ContentDate = task.moment[:8] or next(filter(None, dates), "19000101")
    dataset.ContentTime = task.moment[8:] or next(filter(None, times), "000000")
    for keyword in ("SeriesDate", "SeriesTime"):
        if keyword in dataset:
            del dataset[keyword]
    dataset.SeriesDescription = str(task.parameters["label"])[:64]
    set_sequence(dataset, "ContributingEquipmentSequence", [processing_equipment(task)])
    note_creation(task, dataset)
    return correct_ambiguous_vr(dataset, True)
