"""The conditions of the series of a study, with what is the same in all their images and what is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from medserver import archive
from medserver.archive.header_values import value_of
from medserver.dicom.acquisition import AcquisitionAttribute, conditions_of
from medserver.errors import CannotUnderstand
from medserver.index import StoredInstance
from medserver.node import Node

VALUES_MAX = 20
"""So many different values of one condition are listed; there may be one for each frame."""

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


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


def read_conditions(node: Node, instances: Iterable[StoredInstance]) -> list[SeriesConditions]:
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
        series[uid].add(header)
    return [one.conditions() for one in series.values()]


class _Series:
    """Collects the values of one series."""

    def __init__(self, study: str, uid: str, header: Dataset) -> None:
        self._study, self._uid = study, uid
        self._modality = _text(header, "Modality")
        self._description = _text(header, "SeriesDescription")
        self._attributes = conditions_of(self._modality)
        self._values: dict[AcquisitionAttribute, dict[str, None]] = {each: {} for each in self._attributes}
        self._instances = 0

    def add(self, header: Dataset) -> None:
        self._instances += 1
        groups = list(_functional_groups(header))
        for attribute, found in self._values.items():
            for text in _found(header, groups, attribute):
                if len(found) < VALUES_MAX:
                    found.setdefault(text)

    def conditions(self) -> SeriesConditions:
        values = tuple(
            Value(attribute.keyword, attribute.unit, tuple(found)) for attribute, found in self._values.items() if found
        )
        return SeriesConditions(
            self._study, self._uid, self._modality, self._description, self._instances, values
        )


def _found(header: Dataset, groups: list[dict], attribute: AcquisitionAttribute) -> Iterator[str]:
    """Yield the values of a condition in an instance: of its own, in a sequence, or in its functional groups."""
    first, _, rest = attribute.keyword.partition(".")
    try:
        value = value_of(header, first)
    except CannotUnderstand:
        return
    if rest:
        yield from (text for item in value or [] if (text := _joined(item.get(rest))))
        return
    if text := _joined(value):
        yield text
        return
    for group in groups:
        if text := _joined(group.get(first)):
            yield text


def _functional_groups(header: Dataset) -> Iterator[dict]:
    """Yield the items of all functional groups, those of all frames (PS3.3 C.7.6.16)."""
    for keyword in _GROUPS:
        try:
            frames = value_of(header, keyword)
        except CannotUnderstand:
            continue
        for frame in frames or []:
            for macro in frame.values():
                if isinstance(macro, list):
                    yield from (item for item in macro if isinstance(item, dict))


def _joined(value: object) -> str:
    if value is None or isinstance(value, dict):
        return ""
    if isinstance(value, list):
        return "\\".join(str(one) for one in value if not isinstance(one, dict))
    return str(value)


def _text(header: Dataset, keyword: str) -> str:
    return _joined(value_of(header, keyword))
