"""The manual and the command line say what the table of types says."""

from __future__ import annotations

import json

import pytest

from medserver.cli.manual import pages
from medserver.processing.reasons import REASONS
from medserver.processing.types import TYPES, ProcessingType
from tests.documents import parse, tables
from tests.peers import command_line

TABLES = tables(parse(pages()["processing"]))


def test_types():
    assert TABLES["Types of processing"][1:] == [
        [kind.name, kind.version, kind.scope, ", ".join(kind.modalities) or "any", kind.makes] for kind in TYPES
    ]


def test_parameters():
    assert TABLES["Parameters"][1:] == [
        [kind.name, parameter.name, parameter.default_text(), parameter.values_text(), parameter.meaning]
        for kind in TYPES
        for parameter in kind.parameters
    ]


def test_reasons():
    assert TABLES["Reasons"][1:] == [
        [code.value, code.scheme, code.meaning, error.__doc__.strip().splitlines()[0]]
        for error, code in REASONS.items()
    ]


def test_list_of_types():
    lines = command_line.invoke("processing", "types").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [kind.name for kind in TYPES]
    listed = json.loads(command_line.invoke("processing", "types", "--json").stdout)
    assert [one["name"] for one in listed] == [kind.name for kind in TYPES]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_a_type_is_shown(kind: ProcessingType):
    shown = command_line.invoke("processing", "show", kind.name)
    assert shown.exit_code == 0 and kind.makes in shown.stdout
    described = json.loads(command_line.invoke("processing", "show", kind.name, "--json").stdout)
    assert [one["name"] for one in described["parameters"]] == [one.name for one in kind.parameters]
    for parameter in kind.parameters:
        assert f"\n{parameter.name} " in shown.stdout and parameter.meaning in shown.stdout


def test_an_unknown_type():
    shown = command_line.invoke("processing", "show", "denoize")
    assert shown.exit_code == 2 and "did you mean 'denoise'?" in shown.stderr
