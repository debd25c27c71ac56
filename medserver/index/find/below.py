"""Conditions on rows below those that a query is about: the series of a study, the instances of a patient."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import and_

import peewee
from peewee import Node, fn

from medserver.dicom.attributes import LEVELS
from medserver.dicom.matching import Condition
from medserver.index.database.backend import Backend
from medserver.index.database.columns import PARENTS
from medserver.index.database.models import MODELS
from medserver.index.find.translation import Translated, Translator


class Below:
    """The tables from one level down to another, under names of their own.

    Parameters
    ----------
    top : str
        The level of the outer query.
    bottom : str
        The lowest level that is needed.
    """

    def __init__(self, top: str, bottom: str) -> None:
        self.levels = LEVELS[LEVELS.index(top) + 1 : LEVELS.index(bottom) + 1]
        self.models = {level: MODELS[level].alias(f"{level.lower()}_below") for level in self.levels}
        self._outer = MODELS[top].id

    @property
    def parent(self) -> peewee.Field:
        """The column that refers to the row of the outer query."""
        first = self.levels[0]
        return getattr(self.models[first], PARENTS[first])

    def rows(self, *columns: Node | int) -> peewee.ModelSelect:
        """Select from all rows below any row.

        Parameters
        ----------
        *columns : peewee.Node or int
            What to select.
        """
        first, *others = self.levels
        above = self.models[first]
        query = above.select(*columns)
        for level in others:
            model = self.models[level]
            query = query.join_from(above, model, on=getattr(model, PARENTS[level]) == above.id)
            above = model
        return query

    def rows_of_outer(self, *columns: Node | int) -> peewee.ModelSelect:
        """Select from the rows below the row of the outer query."""
        return self.rows(*columns).where(self.parent == self._outer)

    def translated(self, backend: Backend, conditions: Sequence[Condition]) -> Translated:
        """Translate conditions that one row below (and those between) has to fulfil, all of them.

        Parameters
        ----------
        backend : Backend
            The database.
        conditions : sequence of Condition
            One or more.

        Returns
        -------
        Translated
            A condition on the row of the outer query.
        """
        translator = Translator(backend, self.models)
        parts = [translator.translate(condition) for condition in conditions]
        where = reduce(and_, [part.where for part in parts])
        selective = any(part.selective for part in parts)
        return Translated(
            fn.EXISTS(self.rows_of_outer(peewee.SQL("1")).where(where)),
            all(part.exact for part in parts),
            leading=self._outer.in_(self.rows(self.parent).where(where)) if selective else None,
        )
