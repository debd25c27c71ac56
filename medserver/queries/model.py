"""The information models of Query/Retrieve and what an identifier must hold in each.

PS3.4 C.3, C.6, U, X, Y, Z, BB, HH, II.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from medserver.dicom import uids
from medserver.dicom.attributes import UNIQUE_KEYS
from medserver.dicom.conditions import Condition, UIDList
from medserver.dicom.non_patient import NON_PATIENT_MODELS
from medserver.errors import IdentifierMismatch

RELATIONAL = 0
"""Byte of the extended negotiation for relational queries and retrievals (PS3.4 C.5.1.1)."""

DATE_TIME_MATCHING = 1
"""Byte of the extended negotiation for combined date-time matching."""


_PATIENT_KEYS = (UNIQUE_KEYS["PATIENT"], "IssuerOfPatientID")


@dataclass(frozen=True)
class InformationModel:
    """One information model.

    Attributes
    ----------
    name : str
        What the standard calls it.
    levels : tuple of str
        The values of Query/Retrieve Level, from the top down.
    storage_sop_classes : tuple of str
        For a model of objects that belong to no patient, whose they are: it has one level, which is not named. Empty
        for the models of patients and studies, which leave such objects out.
    """

    name: str
    levels: tuple[str, ...]
    storage_sop_classes: tuple[str, ...] = ()

    @property
    def has_patient_level(self) -> bool:
        """Whether its identifiers say who the patient is by unique keys."""
        return "PATIENT" in self.levels

    @property
    def is_of_patients(self) -> bool:
        """Whether it is a model of patients and studies."""
        return not self.storage_sop_classes

    def scope(self) -> tuple[Condition, ...]:
        """Return what everything in the model fulfils, besides having a patient."""
        return () if self.is_of_patients else (UIDList("StudyInstanceUID", self.storage_sop_classes),)

    def level_of(self, identifier: Dataset) -> str:
        """Return the Query/Retrieve Level of an identifier.

        Raises
        ------
        IdentifierMismatch
            It has none, or one that the model does not have.
        """
        if not self.is_of_patients:
            return self.levels[0]  # not relevant, and not present (PS3.4 U.4.2, HH.4.2)
        level = str(identifier.get("QueryRetrieveLevel", "") or "").strip().upper()
        if level not in self.levels:
            raise IdentifierMismatch(f"Query/Retrieve Level must be one of {', '.join(self.levels)}")
        return level

    def unique_keys_above(self, level: str) -> tuple[str, ...]:
        """Return the unique keys of the levels above, which a hierarchical request must hold."""
        return tuple(UNIQUE_KEYS[above] for above in self.levels[: self.levels.index(level)])


PATIENT_ROOT = InformationModel("Patient Root", ("PATIENT", "STUDY", "SERIES", "IMAGE"))
STUDY_ROOT = InformationModel("Study Root", ("STUDY", "SERIES", "IMAGE"))
PATIENT_STUDY_ONLY = InformationModel("Patient/Study Only", ("PATIENT", "STUDY"))
COMPOSITE_INSTANCE_ROOT = InformationModel("Composite Instance Root", ("IMAGE", "FRAME"))
WITHOUT_BULK_DATA = InformationModel("Composite Instance Root", ("IMAGE",))
"""PS3.4 Z.3: the level IMAGE alone."""

_MODELS_OF_NO_PATIENT = {
    uid: InformationModel(model.name, ("IMAGE",), tuple(model.storage))
    for model in NON_PATIENT_MODELS
    for uid in (model.find, model.move, model.get)
}

_MODELS = {
    **_MODELS_OF_NO_PATIENT,
    uids.PATIENT_ROOT_FIND: PATIENT_ROOT,
    uids.PATIENT_ROOT_MOVE: PATIENT_ROOT,
    uids.PATIENT_ROOT_GET: PATIENT_ROOT,
    uids.STUDY_ROOT_FIND: STUDY_ROOT,
    uids.STUDY_ROOT_MOVE: STUDY_ROOT,
    uids.STUDY_ROOT_GET: STUDY_ROOT,
    uids.PATIENT_STUDY_ONLY_FIND: PATIENT_STUDY_ONLY,
    uids.PATIENT_STUDY_ONLY_MOVE: PATIENT_STUDY_ONLY,
    uids.PATIENT_STUDY_ONLY_GET: PATIENT_STUDY_ONLY,
    uids.COMPOSITE_INSTANCE_ROOT_RETRIEVE_MOVE: COMPOSITE_INSTANCE_ROOT,
    uids.COMPOSITE_INSTANCE_ROOT_RETRIEVE_GET: COMPOSITE_INSTANCE_ROOT,
    uids.COMPOSITE_INSTANCE_RETRIEVE_WITHOUT_BULK_DATA_GET: WITHOUT_BULK_DATA,
}


def model_of(sop_class_uid: str) -> InformationModel:
    """Return the information model of a Query/Retrieve SOP class."""
    return _MODELS[sop_class_uid]


def negotiated(extended: bytes, option: int) -> bool:
    """Tell whether an option of the extended negotiation was agreed on."""
    return len(extended) > option and extended[option] == 1


def check_unique_keys_above(
    model: InformationModel, level: str, identifier: Dataset, *, required: bool = True
) -> None:
    """Check that each level above is pinned to one entity (PS3.4 C.4.1.2.1, C.4.2.2.1).

    Parameters
    ----------
    required : bool
        Whether each must be given: not where relational queries or retrievals were agreed on.

    Raises
    ------
    IdentifierMismatch
        A unique key is missing, empty, a list or a pattern.
    """
    for keyword in model.unique_keys_above(level):
        value = str(identifier.get(keyword, "") or "")
        if not value and not required:
            continue
        if not value or "*" in value or "?" in value or _has_several_values(identifier, keyword):
            raise IdentifierMismatch(f"{keyword} must have one value at {level} level")


def check_patient_keys(identifier: Dataset) -> None:
    r"""Check that no list says who the patient is: lists are for UIDs (PS3.4 C.4.2.1.4.1).

    ``AB\CD`` may have been typed as one ID, and would find the patients *AB* and *CD*.

    Raises
    ------
    IdentifierMismatch
        One of the keys has several values.
    """
    for keyword in _PATIENT_KEYS:
        if keyword in identifier and _has_several_values(identifier, keyword):
            raise IdentifierMismatch(f"{keyword} must have one value: a backslash is between two")


def _has_several_values(identifier: Dataset, keyword: str) -> bool:
    """Tell whether a key is a list, also of one value and an empty one."""
    element = identifier[keyword]
    return element.VM > 1 or "\\" in str(element.value)
