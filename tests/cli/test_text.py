"""Numbers and their nouns."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import medserver
from medserver.cli.text import count_in_words, fitted, shortened

SOURCES = sorted(Path(medserver.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [
        (1, "study", "1 study"),
        (4, "study", "4 studies"),
        (0, "match", "0 matches"),
        (2, "storage SOP class", "2 storage SOP classes"),
        (3, "good copy", "3 good copies"),
        (2, "series", "2 series"),
        (2, "key", "2 keys"),
        (2, "AE", "2 AEs"),
        (1, "finding", "1 finding"),
    ],
)
def test_plurals(count, noun, words):
    assert count_in_words(count, noun) == words


def test_no_message_of_the_command_line_makes_a_plural_of_its_own():
    """``{len(found)} findings`` would say "1 findings"."""
    own = re.compile(r"\{len\([^{}]*\)\} (?!of\b|bytes\b|transfer syntaxes\b)[A-Za-z ]*s\b|\{[^{}]*'s' if")
    found = [
        f"{path.name}:{node.lineno}"
        for path in SOURCES
        if path.parent.name == "cli"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.JoinedStr) and own.search(ast.unparse(node))
    ]
    assert found == []


def test_columns_are_fitted_into_a_line():
    assert fitted([5, 30, 40], 200) == [5, 30, 40]
    assert fitted([5, 30, 40], 69) == [5, 30, 30]
    assert fitted([5, 30, 40], 59) == [5, 25, 25]
    assert fitted([5, 30, 40], 20) == [5, 12, 12]  # what is narrower tells nothing


@pytest.mark.parametrize(
    ("text", "length_max", "expected"),
    [("1.2.840.1", 9, "1.2.840.1"), ("1.2.840.99901", 8, "1.2...01"), ("1.2.840.99901", 9, "1.2...901"), ("", 0, "")],
)
def test_what_is_too_long_loses_its_middle(text, length_max, expected):
    assert shortened(text, length_max) == expected
