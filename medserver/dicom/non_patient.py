"""Objects that belong to no patient, and the information models by which they are found and retrieved.

Each model has one level, at which SOP Instance UID is the unique key (PS3.4 U, X, BB, HH, II).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class NonPatientModel:
    """One information model.

    Parameters
    ----------
    name, clause : str
        What the standard calls it, and where it defines it.
    find, move, get : str
        The SOP classes of its query and of its retrieves.
    storage : Mapping of str to str
        UID -> name of the storage classes whose instances it is about.
    """

    name: str
    clause: str
    find: str
    move: str
    get: str
    storage: Mapping[str, str]


def _model(name: str, clause: str, root: str, first: int, storage: Mapping[str, str]) -> NonPatientModel:
    find, move, get = (f"{root}.{first + number}" for number in range(3))
    return NonPatientModel(name, clause, find, move, get, MappingProxyType(dict(storage)))


NON_PATIENT_MODELS: tuple[NonPatientModel, ...] = (
    _model("Hanging Protocol", "PS3.4 U", "1.2.840.10008.5.1.4.38", 2, {
        "1.2.840.10008.5.1.4.38.1": "Hanging Protocol Storage",
    }),
    _model("Color Palette", "PS3.4 X", "1.2.840.10008.5.1.4.39", 2, {
        "1.2.840.10008.5.1.4.39.1": "Color Palette Storage",
    }),
    _model("Generic Implant Template", "PS3.4 BB", "1.2.840.10008.5.1.4.43", 2, {
        "1.2.840.10008.5.1.4.43.1": "Generic Implant Template Storage",
    }),
    _model("Implant Assembly Template", "PS3.4 BB", "1.2.840.10008.5.1.4.44", 2, {
        "1.2.840.10008.5.1.4.44.1": "Implant Assembly Template Storage",
    }),
    _model("Implant Template Group", "PS3.4 BB", "1.2.840.10008.5.1.4.45", 2, {
        "1.2.840.10008.5.1.4.45.1": "Implant Template Group Storage",
    }),
    _model("Defined Procedure Protocol", "PS3.4 HH", "1.2.840.10008.5.1.4.20", 1, {
        "1.2.840.10008.5.1.4.1.1.200.1": "CT Defined Procedure Protocol Storage",
        "1.2.840.10008.5.1.4.1.1.200.7": "XA Defined Procedure Protocol Storage",
    }),
    _model("Protocol Approval", "PS3.4 II", "1.2.840.10008.5.1.4.1.1.200", 4, {
        "1.2.840.10008.5.1.4.1.1.200.3": "Protocol Approval Storage",
    }),
)  # fmt: skip

NON_PATIENT_SOP_CLASSES: Mapping[str, str] = MappingProxyType(
    {uid: name for model in NON_PATIENT_MODELS for uid, name in model.storage.items()}
)
"""UID -> name of all their storage classes.

In the index their instances stand under a patient, a study and a series that have the UID of the class, so that
everything that is done with instances is done with them; they are hidden from the models of patients and studies.
"""
