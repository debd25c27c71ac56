"""Every statement of an index: both databases understand it, and SQLite finds the rows by an index."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import medserver.index
from medserver.index import Index, open_index
from medserver.index.database.statements import statement
from tests.conftest import MakeDirectory

SCANNED = {
    # Whole tables and indexes are counted, or those rows of which there are few.
    "Conflicts._unresolved",
    "Forms._count",
    "Forms._kept",
    "Holdings._conflicting",
    "Removals._count",
    "Removals._forget",
    "Upkeep._copies",
    "Upkeep._ids",
    "Upkeep._lost",
    "Upkeep._with_bad",
    # The index holds these rows only.
    "Acquisitions._unread",
    "Holdings._asked_for",
    # All jobs are looked through, for two thousand instances at a time that nothing else keeps.
    "Holdings._awaited",
    # The jobs are looked through where there is an order.
    "Holdings._objects",
    "ObjectVersions._duplicates",
    "ObjectVersions._duplicates_of",
    "ObjectVersions._get",
    "ObjectVersions._of",
    "OrderTable._ordered",
}

NO_TABLE = ("json_each", "CONSTANT ROW")
"""The values of a list, and a SELECT without FROM."""

INDEXES = {
    "Acquisitions._newest": "instances_unread",
    "Acquisitions._unread": "instances_unread",
    "Additions._delete_lost": "objects_made_from",
    "Holdings._asked_for": "commitments_open",
    "Forms._count": "objects_made_from",
    "LocationTable._delete_object": "objects_made_from",
    "ObjectVersions._forms": "objects_made_from",
    "Upkeep._bad": "locations_bad",
    "Upkeep._lost": "objects_current",
}
"""Statements for which there is an index of some rows, or of an expression: it is used only if that is in the text."""

ABOUT_OBJECTS = ("medserver.index.objects.", "medserver.index.upkeep.", "medserver.index.holdings")
"""Where the tables are large. Those of `test_job_plans` are too."""


def parts_of(whole: object, found: list[object]) -> list[object]:
    """Return the objects that an index consists of, and that have statements."""
    if type(whole).__module__.startswith("medserver.index.") and whole not in found:
        found.append(whole)
        names = getattr(type(whole), "__slots__", None) or vars(whole)
        for name in names:
            parts_of(getattr(whole, name, None), found)
    return found


def statements_of(index: Index, where: tuple[str, ...] = ("",)) -> Iterator[tuple[str, str]]:
    """Yield the names and texts of all statements of some packages."""
    for part in parts_of(index, []):
        if not type(part).__module__.startswith(where):
            continue
        for name, found in vars(type(part)).items():
            if isinstance(found, statement):
                yield f"{type(part).__name__}.{name}", getattr(part, name)


def classes_with_statements() -> set[str]:
    """Return the names of all classes of the package that have statements."""
    modules = pkgutil.walk_packages(medserver.index.__path__, "medserver.index.")
    found = [value for module in modules for value in vars(importlib.import_module(module.name)).values()]
    classes = [value for value in found if isinstance(value, type) and value.__module__.startswith("medserver.index.")]
    return {each.__name__ for each in classes if any(isinstance(value, statement) for value in vars(each).values())}


def explained(index: Index, text: str) -> list[str]:
    """Return the plan of a statement. That of SQLite depends on the value of a LIMIT."""
    keyword, value = ("EXPLAIN QUERY PLAN", 100) if index.backend.name == "sqlite" else ("EXPLAIN", None)
    values = (value,) * text.count(index.backend.database.param)
    with closing(index.backend.connect()) as connection:
        return [str(row[-1]) for row in connection.execute(f"{keyword} {text}", values).fetchall()]


def test_it_is_understood(index: Index) -> None:
    """It is built when it is first executed: a mistake would show only then."""
    found = dict(statements_of(index))
    assert {name.partition(".")[0] for name in found} == classes_with_statements()
    for name, text in found.items():
        try:
            explained(index, text)
        except index.backend.errors as error:
            pytest.fail(f"{name}: {error}: {text}")


@pytest.fixture(scope="module")
def plans(make_directory: MakeDirectory) -> dict[str, list[str]]:
    """Give the plans of SQLite without statistics, with which a new archive works."""
    base: Path = make_directory("plans")
    with open_index("sqlite:///index.db", base=base) as index:
        return {name: explained(index, text) for name, text in statements_of(index, ABOUT_OBJECTS)}


def test_it_looks_through_no_table(plans: dict[str, list[str]]) -> None:
    scans = {
        name: [step for step in plan if step.startswith("SCAN") and not any(one in step for one in NO_TABLE)]
        for name, plan in plans.items()
    }
    assert {name: steps for name, steps in scans.items() if steps and name not in SCANNED} == {}
    assert {name for name, steps in scans.items() if steps} == SCANNED


@pytest.mark.parametrize("name", INDEXES)
def test_the_index_that_was_made_for_it_is_used(plans: dict[str, list[str]], name: str) -> None:
    assert any(re.search(rf"USING (COVERING )?INDEX {INDEXES[name]}\b", step) for step in plans[name]), plans[name]
