"""The conditions of the series of a study, with what is the same in all their images and what is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from medserver import archive
from medserver.conditions.reading import conditions_in
from medserver.dicom.acquisition import AcquisitionAttribute, conditions_of
from medserver.dicom.dataset_values import value_of
from medserver.index import StoredCopy
from medserver.node import Node

VALUES_MAX = 20
"""So many different values of one condition are listed; there may be one for each frame."""


@dataclass(frozen=True, slots=True)
class Value:
    """One condition of a series.

    Parameters
    ----------
    keyword, unit : str
        Which, and its unit.
    values : tuple of str
        The different values in the order in which they occur; several values of one image joined by backslashes.
        No more than `VALUES_MAX`.
    """

    keyword: str
    unit: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SeriesConditions:
    """The conditions of one series.

    Parameters
    ----------
    study_instance_uid, series_instance_uid, modality, description : str
        Which series.
    instances : int
        How many instances were read.
    values : tuple of Value
        What is known; a condition that no instance tells is left out.
    """

    study_instance_uid: str
    series_instance_uid: str
    modality: str
    description: str
    instances: int
    values: tuple[Value, ...]


def read_conditions(node: Node, instances: Iterable[StoredCopy]) -> list[SeriesConditions]:
    """Read the conditions of instances from their headers, and put them together by series.

    Raises
    ------
    StoreFailure
        A header cannot be read.
    """
    series: dict[str, _Series] = {}
    for instance in instances:
        header = archive.read_header(node, instance)
        uid = str(header.get("SeriesInstanceUID", ""))
        if uid not in series:
            series[uid] = _Series(instance.study_instance_uid, uid, header)
        series[uid].add(conditions_in(header))
    return [one.conditions() for one in series.values()]


class _Series:
    """Collects the values of one series."""

    def __init__(self, study: str, uid: str, header: Dataset) -> None:
        self._study, self._uid = study, uid
        self._modality = str(value_of(header, "Modality") or "")
        self._description = str(value_of(header, "SeriesDescription") or "")
        self._attributes = conditions_of(self._modality)
        self._values: dict[AcquisitionAttribute, dict[str, None]] = {each: {} for each in self._attributes}
        self._instances = 0

    def add(self, values: Mapping[str, Any]) -> None:
        self._instances += 1
        for attribute, found in self._values.items():
            for text in texts_of(values, attribute):
                if len(found) < VALUES_MAX:
                    found.setdefault(text)

    def conditions(self) -> SeriesConditions:
        values = tuple(
            Value(attribute.keyword, attribute.unit, tuple(found)) for attribute, found in self._values.items() if found
        )
        return SeriesConditions(
            self._study, self._uid, self._modality, self._description, self._instances, values
        )


def texts_of(values: Mapping[str, Any], attribute: AcquisitionAttribute) -> Iterator[str]:
    """Yield the values of a condition in what `conditions_in` has found."""
    sequence, _, inner = attribute.keyword.rpartition(".")
    value = values.get(sequence or inner)
    if sequence:
        yield from (item[inner] for item in value or () if inner in item)
    elif isinstance(value, list):
        yield from value
    elif value:
        yield value
