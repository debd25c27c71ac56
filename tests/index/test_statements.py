"""Statements that are built from the models."""

from __future__ import annotations

from pathlib import Path

import pytest
from peewee import Case, Select, Value

from medserver.index import Index, open_index
from medserver.index.database.models import Jobs, Objects, Progress
from medserver.index.database.statements import PARAMETER, insertion, spelled, statement


def test_values_are_given_in_the_order_in_which_they_stand_in_it(index: Index) -> None:
    """Also in an UPDATE, whose columns peewee would sort."""
    changed = Jobs.update({Jobs.state: PARAMETER, Jobs.attempts: PARAMETER, Jobs.due_at: PARAMETER})
    text = spelled(index.backend, changed.where(Jobs.id == PARAMETER))
    assert [text.index(name) for name in ('"state"', '"attempts"', '"due_at"')] == sorted(
        text.index(name) for name in ('"state"', '"attempts"', '"due_at"')
    )
    rows = spelled(index.backend, insertion(Progress, ("value", "name"), rows=2))
    more = spelled(index.backend, insertion(Progress, ("value",), name="three"))
    with index.backend.connections(writing=True).lent() as connection:
        connection.execute(rows, ("1", "one", "2", "two"))
        connection.execute(more, ("3",))
        found = connection.execute("SELECT name, value FROM progress ORDER BY value").fetchall()
    assert found == [("one", "1"), ("two", "2"), ("three", "3")]


def test_constants_are_part_of_the_text(index: Index) -> None:
    """A partial index is used only where they are."""
    current = (Objects.is_current == 1) & (Objects.digest == "'a")
    text = spelled(index.backend, Objects.select(Objects.id).where(current))
    assert "= 1)" in text and "'''a'" in text
    none = spelled(index.backend, Jobs.update({Jobs.owner: None, Jobs.attempts: Case(None, [(Jobs.ready == 1, 0)], 1)}))
    assert '"owner" = NULL' in none and "THEN 0 ELSE 1 END" in none


def test_the_signs_of_parameters_are_text_in_a_constant(index: Index) -> None:
    texts = ("50 %", "%s or ?", "%%", "it's")
    text = spelled(index.backend, Select(columns=[*map(Value, texts), PARAMETER.cast("TEXT")]))
    with index.backend.connections().lent() as connection:
        assert connection.execute(text, ("given",)).fetchall() == [(*texts, "given")]


def test_what_cannot_stand_in_a_text_is_rejected(index: Index) -> None:
    with pytest.raises(TypeError, match="0.5 cannot stand in a statement"):
        spelled(index.backend, Jobs.select(Jobs.id, Value(0.5)))


def test_it_is_spelled_once_for_all_indexes_on_one_kind_of_database(index: Index, tmp_path: Path) -> None:
    built = []

    class Table:
        def __init__(self, index: Index) -> None:
            self._backend = index.backend

        @statement
        def ids(self) -> object:
            built.append(self)
            return Jobs.select(Jobs.id).where(Jobs.state == PARAMETER)

    table = Table(index)
    assert table.ids is table.ids is Table(index).ids
    assert built == [table]
    with open_index("sqlite:///other.db", base=tmp_path) as other:
        assert Table(other).ids == spelled(other.backend, Jobs.select(Jobs.id).where(Jobs.state == PARAMETER))
    assert len(built) == (1 if index.backend.name == "sqlite" else 2)
