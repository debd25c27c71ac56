"""Instances compared with what was defined for them, and with what is usual."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydicom.dataset import Dataset

from medserver import archive
from medserver.conditions.constraints import Comparison, compare
from medserver.conditions.outliers import Outlier, find_outliers
from medserver.dicom import uids
from medserver.dicom.dataset_values import value_of
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.index import StoredCopy
from medserver.node import Node


@dataclass(frozen=True, slots=True)
class ComparedProtocol:
    """A performed procedure protocol and a defined one that it refers to.

    Parameters
    ----------
    performed, defined : str
        Their SOP Instance UIDs; that of the defined one is empty if it refers to none.
    problem : str
        Why they could not be compared; empty if they were.
    comparisons : tuple of Comparison
        Every constraint.
    """

    performed: str
    defined: str
    problem: str = ""
    comparisons: tuple[Comparison, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """What a comparison has found.

    Parameters
    ----------
    protocols : sequence of ComparedProtocol
        What was performed, against what was defined.
    outliers : sequence of Outlier
        What is unusual.
    """

    protocols: Sequence[ComparedProtocol]
    outliers: Sequence[Outlier]

    def described(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "protocols": [asdict(one) for one in self.protocols],
            "outliers": [asdict(one) for one in self.outliers],
        }


def compare_instances(node: Node, instances: Iterable[StoredCopy]) -> Findings:
    """Compare the performed protocols among instances with the defined ones, and their series with all others.

    Raises
    ------
    StoreFailure
        A header cannot be read.
    """
    protocols: list[ComparedProtocol] = []
    series: dict[str, tuple[str, str]] = {}
    for instance in instances:
        if instance.sop_class_uid in uids.PERFORMED_PROCEDURE_PROTOCOLS:
            protocols += _compare_protocol(node, instance)
            continue
        header = archive.read_header(node, instance)
        names = tuple(str(value_of(header, keyword) or "") for keyword in ("ProtocolName", "Modality"))
        if all(names):
            series[str(value_of(header, "SeriesInstanceUID"))] = (names[0], names[1])
    outliers = [
        outlier
        for protocol, modality in dict.fromkeys(series.values())
        for outlier in find_outliers(node, protocol, modality)
        if outlier.series_instance_uid in series
    ]
    return Findings(protocols, outliers)


def _compare_protocol(node: Node, instance: StoredCopy) -> Iterator[ComparedProtocol]:
    performed = archive.read_header(node, instance)
    try:
        references = performed.get("ReferencedDefinedProtocolSequence") or ()
        wanted = [str(item.get("ReferencedSOPInstanceUID") or "") for item in references]
    except PYDICOM_ERRORS as error:
        yield ComparedProtocol(instance.sop_instance_uid, "", f"it cannot be read: {error}")
        return
    if not wanted:
        yield ComparedProtocol(instance.sop_instance_uid, "", "it refers to no defined protocol")
    for uid in wanted:
        yield _compare_with(node, performed, instance.sop_instance_uid, uid)


def _compare_with(node: Node, performed: Dataset, performed_uid: str, defined_uid: str) -> ComparedProtocol:
    defined = node.index.instances([defined_uid]).get(defined_uid)
    if defined is None:
        return ComparedProtocol(performed_uid, defined_uid, "the defined protocol is not here")
    try:
        comparisons = tuple(compare(archive.read_header(node, defined), performed))
    except PYDICOM_ERRORS as error:
        return ComparedProtocol(performed_uid, defined_uid, f"it cannot be read: {error}")
    return ComparedProtocol(performed_uid, defined_uid, "", comparisons)
