"""The manual says what the tables of printing say."""

from __future__ import annotations

from medserver.cli.manual import pages
from medserver.printing.format import PARAMETERS
from medserver.printing.pulling.steps import STEPS
from tests.documents import parse, tables

TABLES = tables(parse(pages()["printing"]))


def test_format_information() -> None:
    assert TABLES["Format information"][1:] == [
        [each.name, each.default_text(), each.values_text(), each.meaning] for each in PARAMETERS
    ]


def test_steps() -> None:
    assert TABLES["What is done with an item that has been begun"][1:] == [
        [films.value, "yes" if is_cancelled else "no", step.value] for (films, is_cancelled), step in STEPS.items()
    ]
