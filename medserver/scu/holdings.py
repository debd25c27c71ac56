"""What SOP classes a remote AE holds under a key, asked by C-FIND: a C-GET has to propose them beforehand."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from medserver.dicom import status, uids
from medserver.dicom.attributes import LEVELS, UNIQUE_KEYS
from medserver.errors import CannotUnderstand
from medserver.log import Event
from medserver.scu.query import find, relational_agreed
from medserver.wire.association import Association

logger = logging.getLogger(__name__)

Keys = Mapping[str, object]


class _Refused(Exception):
    """The remote AE does not answer a query."""


def sop_classes_of(
    association: Association, find_sop_class_uid: str, level: str, keys: Keys
) -> set[str] | None:
    """Ask a remote AE which SOP classes the instances below some unique keys have.

    SOP Classes in Study (0008,0062) tells it at once where the remote AE supports it; else the instances of each
    series are asked for.

    Parameters
    ----------
    association : Association
        With a presentation context for `find_sop_class_uid`.
    find_sop_class_uid : str
        The query SOP class of the information model.
    level : str
        The Query/Retrieve Level of the retrieve.
    keys : mapping of str to object
        The unique keys of the retrieve by keyword.

    Returns
    -------
    set of str or None
        None if the remote AE does not tell, or has nothing.
    """
    try:
        if level != "IMAGE":
            above = {keyword: keys[keyword] for keyword in _unique_keys("STUDY") if keyword in keys}
            studies = list(_matches(association, find_sop_class_uid, "STUDY", above, "SOPClassesInStudy"))
            told = [_values(study, "SOPClassesInStudy") for study in studies]
            if all(told):
                return _valid(uid for classes in told for uid in classes)
        if find_sop_class_uid == uids.PATIENT_STUDY_ONLY_FIND:
            return None
        if level == "IMAGE" and relational_agreed(association, find_sop_class_uid):
            images = _matches(association, find_sop_class_uid, level, keys, "SOPClassUID")
        else:
            images = _below(association, find_sop_class_uid, "STUDY", dict(keys))
        return _valid(uid for image in images for uid in _values(image, "SOPClassUID"))
    except (_Refused, CannotUnderstand) as error:
        logger.info(Event("SOP classes not told", reason=str(error)))
        return None


def _below(
    association: Association, sop_class_uid: str, level: str, keys: dict[str, object]
) -> Iterator[Dataset]:
    """Yield the image level matches below some keys, one hierarchical query after the other (PS3.4 C.4.1.3.1.1)."""
    if level == "IMAGE":
        yield from _matches(association, sop_class_uid, level, keys, "SOPClassUID")
        return
    keyword = UNIQUE_KEYS[level]
    lower = LEVELS[LEVELS.index(level) + 1]
    here = {key: value for key, value in keys.items() if key in _unique_keys(level)}
    known = _values_of(keys.get(keyword))
    if len(known) == 1:
        found = known
    else:
        # All answers first: one query at a time on an association.
        answers = list(_matches(association, sop_class_uid, level, here, keyword))
        found = [uid for answer in answers for uid in _values(answer, keyword)]
    for uid in found:
        yield from _below(association, sop_class_uid, lower, {**keys, keyword: uid})


def _unique_keys(level: str) -> list[str]:
    """Return the unique keys of a level and of those above."""
    return [UNIQUE_KEYS[one] for one in LEVELS[: LEVELS.index(level) + 1]]


def _matches(
    association: Association, sop_class_uid: str, level: str, keys: Keys, return_keyword: str
) -> Iterator[Dataset]:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    setattr(identifier, UNIQUE_KEYS[level], None)
    setattr(identifier, return_keyword, None)
    for keyword, value in keys.items():
        setattr(identifier, keyword, value)
    for response in find(association, sop_class_uid, identifier):
        if status.is_pending(response.code) and response.identifier is not None:
            yield response.identifier
    if response.code != status.SUCCESS:
        raise _Refused(status.describe(response.code))


def _values(dataset: Dataset, keyword: str) -> list[str]:
    return _values_of(dataset.get(keyword))


def _values_of(value: object) -> list[str]:
    values = value if isinstance(value, (MultiValue, list, tuple)) else [value]
    return [str(one) for one in values if one]


def _valid(found: Iterator[str]) -> set[str] | None:
    """Return those that are UIDs; they come from a peer."""
    return {uid for uid in found if uids.is_valid_uid(uid)} or None
