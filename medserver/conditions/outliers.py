"""Which series of a protocol were acquired otherwise than the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from pydicom.datadict import dictionary_VR

from medserver.conditions.series import texts_of
from medserver.dicom.acquisition import EQUIPMENT, AcquisitionAttribute, conditions_of
from medserver.dicom.conditions import SingleValue
from medserver.index import Query
from medserver.node import Node

SERIES_MIN = 5
"""Fewer series say nothing of what is usual."""

DEVIATION_MAX = 3.5
"""How far a number may be from the median, in robust standard deviations (1.4826 x the median absolute deviation)."""

TOLERANCE = 0.01
"""A number that differs by so small a part of the median is no outlier, however alike the others are."""

SHARE_MIN = 0.8
"""A text is usual if this part of the series has it."""

_SCALE = 1.4826
_NOT_COMPARED_VRS = frozenset({"DA", "DT", "TM"})


@dataclass(frozen=True, slots=True)
class Outlier:
    """A condition of a series that is unusual for its protocol.

    Parameters
    ----------
    study_instance_uid, series_instance_uid, modality, protocol : str
        Which series, and by what it was acquired.
    keyword, unit : str
        The condition.
    value, usual : str
        What it is, and what it is in most of the series: the median of numbers.
    series : int
        How many series were compared.
    """

    study_instance_uid: str
    series_instance_uid: str
    modality: str
    protocol: str
    keyword: str
    unit: str
    value: str
    usual: str
    series: int


@dataclass(frozen=True, slots=True)
class _Sample:
    study: str
    series: str
    values: Sequence[str]


def find_outliers(node: Node, protocol: str, modality: str) -> list[Outlier]:
    """Return what is unusual among the series with a Protocol Name and modality.

    Conditions come from the index: what was received in the last seconds may be missing.
    """
    found = [
        (study, series, node.index.acquisitions.of_series(series))
        for study, series in series_of_protocol(node, protocol, modality)
    ]
    outliers: list[Outlier] = []
    for attribute in _compared(modality):
        samples = []
        for study, series, known in found:
            texts = dict.fromkeys(text for values in known for text in texts_of(values, attribute))
            if texts:
                samples.append(_Sample(study, series, tuple(texts)))
        for sample, value, usual in _unusual(samples):
            outliers.append(
                Outlier(sample.study, sample.series, modality, protocol, attribute.keyword, attribute.unit, value,
                        usual, len(samples))
            )  # fmt: skip
    return outliers


def series_of_protocol(node: Node, protocol: str, modality: str) -> Iterator[tuple[str, str]]:
    """Yield Study and Series Instance UID of the series with a Protocol Name and modality."""
    keys = ("StudyInstanceUID", "SeriesInstanceUID")
    conditions = (SingleValue("ProtocolName", protocol), SingleValue("Modality", modality))
    for row in node.index.find(Query("SERIES", conditions, keys)):
        yield row["StudyInstanceUID"], row["SeriesInstanceUID"]


def _compared(modality: str) -> Iterator[AcquisitionAttribute]:
    """Yield the conditions that a protocol determines: not by whom and when it was performed."""
    for attribute in conditions_of(modality):
        vr = dictionary_VR(attribute.keyword.rpartition(".")[2])
        if attribute not in EQUIPMENT and vr not in _NOT_COMPARED_VRS:
            yield attribute


def _unusual(samples: Sequence[_Sample]) -> Iterator[tuple[_Sample, str, str]]:
    """Yield the samples that differ from the others, with their value and the usual one."""
    if len(samples) < SERIES_MIN:
        return
    numbers = [_number(sample.values) for sample in samples]
    if any(number is None for number in numbers):
        yield from _unusual_texts(samples)
        return
    known = [number for number in numbers if number is not None]
    middle = median(known)
    deviation = _SCALE * median(abs(number - middle) for number in known)
    for sample, number in zip(samples, known, strict=True):
        distance = abs(number - middle)
        if distance > max(DEVIATION_MAX * deviation, TOLERANCE * abs(middle)):
            yield sample, f"{number:g}", f"{middle:g}"


def _unusual_texts(samples: Sequence[_Sample]) -> Iterator[tuple[_Sample, str, str]]:
    texts = [", ".join(sorted(sample.values)) for sample in samples]
    usual, count = Counter(texts).most_common(1)[0]
    if count < SHARE_MIN * len(texts):
        return
    for sample, text in zip(samples, texts, strict=True):
        if text != usual:
            yield sample, text, usual


def _number(values: Iterable[str]) -> float | None:
    """Return the median of the values of a series, None if one of them is no single number."""
    try:
        return median(float(value) for value in values)
    except ValueError:
        return None
