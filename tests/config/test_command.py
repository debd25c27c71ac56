"""External programs as types of processing, in config.ini."""

from __future__ import annotations

from pathlib import Path

import pytest

from medserver.config import CommandType, read_config
from medserver.errors import ConfigError, UnusableParameters
from medserver.processing.checking import problems_of
from medserver.processing.parameters import check
from medserver.processing.types import find_type


def types(text: str) -> tuple[CommandType, ...]:
    return read_config(text, base=Path("/srv")).config.types


def test_an_entry():
    [one] = types(
        "[type lungs]\ncommand = /opt/x/run 'a b' {in} {out}\nmeaning = Lungs\nmakes = a SEG\nversion = 2\n"
        "scope = study\n"
        "modalities = CT, MR\nparameters = level = 3\n  mode = a = b\nenvironment = MODEL = /m\n  OTHER=\n"
        "memory_max_bytes = 1 GiB\ntime_max_s = 5\ncpus = 4\nfiles_max = 7\noutput_max_bytes = 1 MiB\nnew_uids = yes\n"
    )
    assert one == CommandType(
        "lungs", ("/opt/x/run", "a b", "{in}", "{out}"), "", "auto", (), "Lungs", "a SEG", "2", "study", ("CT", "MR"),
        tuple((name, (("default", text), ("kind", "text"), ("meaning", name), ("choices", ())))
              for name, text in (("level", "3"), ("mode", "a = b"))),
        (("MODEL", "/m"), ("OTHER", "")), 2**30, 5.0, 4, 7, 2**20, True,
    )  # fmt: skip


def test_parameters_by_a_schema():
    text = (
        '[type x]\nimage = clinic/x\n'
        'parameters = {"size": {"kind": "integer", "default": 3, "minimum": 1, "maximum": 9,\n'
        '  "unit": "mm", "meaning": "Side"}, "part": 0.5,\n'
        '  "mode": {"choices": ["a", "b"], "default": "a"}, "free": {}}\n'
    )
    config = read_config(text, base=Path("/srv")).config
    kind = find_type("x", config)
    assert check(kind.parameters, {}) == {"size": 3, "part": 0.5, "mode": "a"}
    assert check(kind.parameters, {"size": "4", "free": "y"}) == {"size": 4, "part": 0.5, "mode": "a", "free": "y"}
    for wrong in ({"size": 10}, {"size": 1.5}, {"mode": "c"}, {"part": "x"}, {"other": 1}):
        with pytest.raises(UnusableParameters):
            check(kind.parameters, wrong)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[type x]\n", "command or image is missing"),
        ("[type X1]\ncommand = /a\n", "the name of a type has small letters"),
        ("[type a_very_long_name_]\ncommand = /a\n", "the name of a type has small letters"),
        ("[type x]\ncommand = run\n", "command: 'run' is not a path from the root"),
        ("[type x]\ncommand = /run 'a\n", "command: No closing quotation"),
        ("[type x]\nimage = --privileged\n", "image: '--privileged' is not the name of an image"),
        ("[type x]\ncommand = /a\nscope = frame\n", "scope: 'frame' is not one of"),
        ("[type x]\ncommand = /a\nparameters = no\n", "parameters: 'no' is not a parameter, NAME = value"),
        ("[type x]\ncommand = /a\nparameters = Size = 3\n", "parameters: 'Size = 3' is not a parameter"),
        ("[type x]\ncommand = /a\nparameters = modality = 3\n", "parameters: 'modality' means something else"),
        ("[type x]\ncommand = /a\nparameters = priority = 3\n", "parameters: 'priority' means something else"),
        ("[type x]\ncommand = /a\nparameters = {\"a\": {\"kind\": \"colour\"}}\n", "a: kind is text"),
        ("[type x]\ncommand = /a\nparameters = {\"a\": {\"size\": 3}}\n", "a: no field 'size' of a parameter"),
        ('[type x]\ncommand = /a\nparameters = {"a": {"default": 5, "maximum": 4}}\n',
         "a: its default 5 is not possible"),
        ('[type x]\ncommand = /a\nparameters = {"a": {"choices": ["b"], "default": "c"}}\n', "a: its default 'c'"),
        ("[type x]\ncommand = /a\nparameters = {\"a\": 1\n", "parameters: no JSON"),
        ("[type x]\ncommand = /a\nparameters = {\"a\": [1]}\n", "a: its default [1] is not possible"),
        ("[type x]\ncommand = /a\nenvironment = 1A = 3\n", "environment: '1A = 3' is not an environment variable"),
        ("[type x]\ncommand = /a\ntime_max_s = 0\n", "time_max_s: "),
    ],
)  # fmt: skip
def test_mistakes(text: str, problem: str):
    with pytest.raises(ConfigError) as raised:
        types(text)
    assert problem in "\n".join(raised.value.problems)


def test_rules_are_checked_with_the_types_of_the_configuration():
    text = (
        "[type copy]\ncommand = /a\n[type half]\ncommand = /a\nparameters = factor = 2\n"
        "[processing right]\ntype = half, denoise\nfactor = 3\nsize = 5\n[processing wrong]\ntype = half\nfacter = 3\n"
        "[processing part]\ntype = half\noutputs = 1-3\n"
    )
    assert list(problems_of(read_config(text, base=Path("/srv")).config)) == [
        "[type copy] there is a type of this name already: it is never used",
        "[processing wrong] there is no parameter 'facter', did you mean 'factor'?",
        "[processing part] half makes all of its outputs, or none",
    ]
