"""The parameters of types of processing: what is read, what is refused, and the table of types itself."""

from __future__ import annotations

import importlib
import json

import pytest

from medserver import errors
from medserver.config.keyed import keyword_named
from medserver.processing.parameters import Parameter, check
from medserver.processing.reasons import REASONS, reason_for
from medserver.processing.types import TYPES, ProcessingType, find_type

SIZE = Parameter("size", "Size", "integer", "mm", 3, 1, 15)
WEIGHT = Parameter("weight", "Weight", "number", "kg", minimum=0.5, maximum=500)
METHOD = Parameter("method", "Method", "choice", default="mean", choices=("mean", "max"))
LABEL = Parameter("label", "Label", "text")
DIRECTION = Parameter("direction", "Direction", "number", count=3, minimum=-1, maximum=1)
ECHOES = Parameter("echoes", "Echoes", "integer", count=0, minimum=1)
ALL = (SIZE, WEIGHT, METHOD, LABEL, DIRECTION, ECHOES)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"size": "5"}, {"size": 5}),
        ({"size": 5.0}, {"size": 5}),
        ({"size": " 5 "}, {"size": 5}),
        ({"weight": "70.5"}, {"weight": 70.5}),
        ({"weight": 0.5}, {"weight": 0.5}),
        ({"method": "max"}, {"method": "max"}),
        ({"label": "left, upper"}, {"label": "left, upper"}),
        ({"direction": "0, 1,-1"}, {"direction": (0.0, 1.0, -1.0)}),
        ({"direction": [0, 1, -1]}, {"direction": (0.0, 1.0, -1.0)}),
        ({"echoes": "1"}, {"echoes": (1,)}),
        ({"echoes": (1, 2, 3)}, {"echoes": (1, 2, 3)}),
    ],
)
def test_values_are_read(given, read):
    assert check(ALL, given) == {"size": 3, "method": "mean"} | read


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"sise": 5}, "there is no parameter 'sise', did you mean 'size'?"),
        ({"zzz": 5}, "there is no parameter 'zzz': there are size, weight"),
        ({"size": "0"}, "size is 0, and not 1 to 15 mm"),
        ({"size": 16}, "size is 16, and not 1 to 15 mm"),
        ({"size": 2.5}, "size is 2.5, and no whole number"),
        ({"size": "five"}, "size is 'five', and no number"),
        ({"size": True}, "size is 'True', and no number"),
        ({"size": None}, "size is 'None', and no number"),
        ({"size": "nan"}, "size is 'nan', and no number"),
        ({"size": [1, 2]}, "size has 2 values instead of 1"),
        ({"weight": "inf"}, "weight is 'inf', and no number"),
        ({"weight": "1e999"}, "weight is '1e999', and no number"),
        ({"weight": 0.4}, "weight is 0.4, and not 0.5 to 500 kg"),
        ({"method": "median"}, "method is 'median', and not mean or max"),
        ({"method": 3}, "method is not a text"),
        ({"label": "x" * 2000}, "label has more than 1024 characters"),
        ({"label": "a\nb"}, "label has control characters"),
        ({"direction": "1,0"}, "direction has 2 values instead of 3"),
        ({"direction": "1,0,2"}, "direction is 2, and not -1 to 1"),
        ({"echoes": "1,0"}, "echoes is 0, and not 1"),
        ({"echoes": [1] * 2000}, "echoes has more than 1024 values"),
    ],
)
def test_what_is_wrong_is_said(given, problem):
    with pytest.raises(errors.UnusableParameters) as caught:
        check(ALL, given)
    assert str(caught.value).startswith(problem)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(errors.UnusableParameters) as caught:
        check(ALL, {"size": 0, "weight": "x", "other": 1})
    assert str(caught.value).count(";") == 2


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_rows_of_the_table(kind: ProcessingType):
    assert len(kind.name) <= 16 and len(kind.meaning) <= 64  # SH, LO
    assert kind.scope in ("frame", "instance", "series", "study")
    names = [parameter.name for parameter in kind.parameters]
    assert len(names) == len(set(names))
    module_name, _, function_name = kind.function.partition(":")
    assert callable(getattr(importlib.import_module(module_name), function_name))
    for parameter in kind.parameters:
        assert len(parameter.name) <= 16 and len(parameter.meaning) <= 64
        assert (parameter.kind == "choice") == bool(parameter.choices)
        if parameter.default is not None:
            assert parameter.read(parameter.default) == parameter.default
    checked = check(kind.parameters, {})
    assert check(kind.parameters, json.loads(json.dumps(checked))) == checked


def test_types_are_in_order():
    assert [kind.name for kind in TYPES] == sorted(kind.name for kind in TYPES)


def test_types_are_found():
    assert find_type("denoise") is next(kind for kind in TYPES if kind.name == "denoise")
    with pytest.raises(errors.UnknownProcessingType, match="did you mean 'denoise'"):
        find_type("denoize")


def test_every_refusal_has_a_reason():
    assert {errors.CannotProcess, *errors.CannotProcess.__subclasses__()} == REASONS.keys()
    for code in REASONS.values():
        assert len(code.value) <= 16 and len(code.meaning) <= 64
    assert len(set(REASONS.values())) == len(REASONS)
    assert reason_for(errors.IncompleteObjectSet("x")).value == "110523"
    assert reason_for(ValueError("x")).value == "110513"


def test_no_parameter_has_the_name_of_an_attribute() -> None:
    """Options of a rule are written in any case: ``Rows`` says which images are meant."""
    assert [(kind.name, one.name) for kind in TYPES for one in kind.parameters if keyword_named(one.name)] == []
