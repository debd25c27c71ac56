"""A query of the index, and how its conditions become one SQL query for the matching rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import and_

import peewee
from peewee import Node

from medserver.dicom.attributes import EVERY_LEVEL, LEVELS, attribute
from medserver.dicom.matching import CombinedRange, Condition, SingleValue, UIDList
from medserver.dicom.non_patient import NON_PATIENT_SOP_CLASSES
from medserver.index.database.backend import Backend
from medserver.index.database.columns import PARENTS
from medserver.index.database.models import MODELS
from medserver.index.find import computed
from medserver.index.find.below import Below
from medserver.index.find.translation import Translated, Translator


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the index.

    Parameters
    ----------
    level : str
        The Query/Retrieve Level: what one answer is about.
    conditions : tuple of Condition
        All of them have to be fulfilled; those on lower levels by one row there (for a study: by one of
        its series, or one of its instances and the series of that).
    return_keys : tuple of str
        Keywords of the attributes that an answer is to hold: of this level and those above. What the
        index does not keep is left out.
    with_location : bool
        Whether an answer at IMAGE level is to hold, as ``location``, a `StoredCopy`.
    with_acquisition : bool
        Whether an answer at IMAGE level is to hold, as ``acquisition``, the conditions of its acquisition, or None if
        they have not been read (see `acquisitions`).
    patients_only : bool
        Whether what belongs to no patient stays hidden (see `medserver.dicom.non_patient`).
    newest_first : bool
        Whether what was registered last comes first; else the order is any.
    """

    level: str
    conditions: tuple[Condition, ...] = ()
    return_keys: tuple[str, ...] = ()
    with_location: bool = False
    with_acquisition: bool = False
    patients_only: bool = False
    newest_first: bool = False


def level_of(condition: Condition) -> str:
    """Return the level of the attribute that a condition is on.

    Parameters
    ----------
    condition : Condition
        Any.

    Returns
    -------
    str
        One of `LEVELS`, or `EVERY_LEVEL`.

    Raises
    ------
    ValueError
        If the index does not keep the attribute: nobody could say whether the condition is fulfilled.
    """
    row = attribute(keyword_of(condition))
    if row is None:
        raise ValueError(f"{keyword_of(condition)} is not in the index")
    return row.level


def keyword_of(condition: Condition) -> str:
    """Return the keyword of the attribute that a condition is on; of the date, if it is on two."""
    return condition.date_keyword if isinstance(condition, CombinedRange) else condition.keyword


def levels_between(levels: Iterable[str], bottom: str) -> tuple[str, ...]:
    """Return all levels from the topmost of some down to another.

    Parameters
    ----------
    levels : iterable of str
        Levels that are needed.
    bottom : str
        The lowest level; it is included.

    Returns
    -------
    tuple of str
        From the top down.
    """
    first = min(LEVELS.index(level) for level in (*levels, bottom))
    return LEVELS[first : LEVELS.index(bottom) + 1]


def rows_of(levels: tuple[str, ...], *columns: Node) -> peewee.ModelSelect:
    """Select from the tables of some levels, joined.

    Parameters
    ----------
    levels : tuple of str
        From `levels_between`.
    *columns : peewee.Node
        What to select.
    """
    *above, bottom = levels
    model = MODELS[bottom]
    query = model.select(*columns)
    for level in reversed(above):
        query = query.join_from(model, MODELS[level], on=getattr(model, PARENTS[bottom]) == MODELS[level].id)
        model, bottom = MODELS[level], level
    return query


class Matching:
    """The conditions of a query, in SQL as far as that goes.

    Parameters
    ----------
    backend : Backend
        The database.
    level : str
        What the query is about.
    conditions, patients_only : iterable of Condition, bool
        See `Query`. Conditions on Retrieve AE Title and Instance Availability say nothing here, and those
        on numbers of related entities below the level neither.

    Attributes
    ----------
    where : list of peewee.Node
        Hold for every row that matches.
    levels : tuple of str
        The tables that they need.
    unsure : tuple of Condition
        Conditions at this level or above that have to be checked once more for each row.
    unsure_below : tuple of Condition
        All conditions on lower levels, if they have to be checked once more.

    Raises
    ------
    ValueError
        See `level_of`.
    """

    def __init__(
        self, backend: Backend, level: str, conditions: Iterable[Condition], patients_only: bool = False
    ) -> None:
        self.level = level
        conditions = tuple(conditions)
        own, below = _sort(level, conditions)
        translator = Translator(backend, MODELS)
        parts = [
            computed.translate(backend, condition)
            if keyword_of(condition) in computed.COMPUTED
            else translator.translate(condition)
            for condition in own
        ]
        self.unsure = tuple(row for row, part in zip(own, parts) if not part.exact)
        self.unsure_below: tuple[Condition, ...] = ()
        levels = [level_of(condition) for condition in own]
        if patients_only and not _names_studies(conditions):
            hidden = "PATIENT" if level == "PATIENT" else "STUDY"
            levels.append(hidden)
            parts.append(Translated(_has_patient(hidden)))
        self.levels = levels_between(levels, level)
        self.backend = backend
        self.below = tuple(below)
        if below:
            parts.append(Below(level, lowest(below)).translated(backend, below))
            self.unsure_below = () if parts[-1].exact else self.below
        self.where = _in_good_order(parts)

    def rows(self, *columns: Node, levels: Iterable[str] = ()) -> peewee.ModelSelect:
        """Select from the rows that may match; `unsure` and `unsure_below` remain to be checked.

        Parameters
        ----------
        *columns : peewee.Node
            What to select, of the tables of the conditions and of `levels`.
        levels : iterable of str
            Levels whose tables are needed besides.
        """
        query = rows_of(levels_between((*self.levels, *levels), self.level), *columns)
        return query.where(reduce(and_, self.where)) if self.where else query


def _names_studies(conditions: Iterable[Condition]) -> bool:
    """Tell whether only certain studies can match, which are none of what belongs to no patient."""
    for condition in conditions:
        if isinstance(condition, (SingleValue, UIDList)) and condition.keyword == "StudyInstanceUID":
            uids = condition.values if isinstance(condition, UIDList) else (condition.value,)
            if NON_PATIENT_SOP_CLASSES.keys().isdisjoint(uids):
                return True
    return False


def _has_patient(level: str) -> Node:
    """Return what holds for the rows of a level that belong to patients."""
    column = MODELS[level].patient_id if level == "PATIENT" else MODELS[level].study_instance_uid
    return column.is_null() | column.not_in(list(NON_PATIENT_SOP_CLASSES))


def lowest(conditions: Iterable[Condition]) -> str:
    """Return the lowest level that any of the conditions is on."""
    return max(map(level_of, conditions), key=LEVELS.index)


def compiled(backend: Backend, query: peewee.Query) -> tuple[str, list[object]]:
    """Return the SQL of a query and its parameters."""
    return backend.database.get_sql_context().sql(query).query()


def _sort(level: str, conditions: Iterable[Condition]) -> tuple[list[Condition], list[Condition]]:
    """Tell conditions on a level and those above from conditions below."""
    own: list[Condition] = []
    below: list[Condition] = []
    for condition in conditions:
        where = level_of(condition)
        if where == EVERY_LEVEL:
            continue
        if LEVELS.index(where) <= LEVELS.index(level):
            own.append(condition)
        elif (lower := computed.on_stored(condition)) is not None:
            below.append(lower)
    return own, below


def _in_good_order(parts: list[Translated]) -> list[Node]:
    """Begin with rows below if nothing else leads to few rows: SQLite cannot know without statistics."""
    leads = not any(part.selective for part in parts)
    nodes = []
    for part in parts:
        if leads and part.leading is not None:
            nodes.append(part.leading)
            leads = False
        else:
            nodes.append(part.where)
    return nodes
