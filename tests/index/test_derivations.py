"""What was made from what is found from either end, and by what was asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from medserver.index import Index
from medserver.index.derivations import Derivation, DerivedInstance

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


def instance(number: int, series: int) -> DerivedInstance:
    return DerivedInstance(f"1.2.{series}.{number}", "1.2.840.10008.5.1.4.1.1.2", "1.2", f"1.2.{series}")


def derivation(number: int, request: str = "r", *, inputs: int = 1, outputs: int = 2) -> Derivation:
    made = tuple(instance(each, outputs) for each in range(2))
    return Derivation(f"1.9.{number}", request, "denoise", AT, tuple(instance(each, inputs) for each in range(3)), made)


def test_nothing_is_known_of_what_was_not_made_here(index: Index) -> None:
    assert index.derivations.of("1.2") == []
    assert index.derivations.of_request("r") is index.derivations.of_item("1.9.1") is None


def test_it_is_found_by_inputs_and_outputs_of_either_level(index: Index) -> None:
    first, second = derivation(1), derivation(2, "s", inputs=2, outputs=3)
    for each in (first, second):
        index.derivations.note(each)
    expected = {"1.2.1.0": [first], "1.2.1": [first], "1.2.2": [first, second], "1.2.2.1": [first, second],
                "1.2.3.0": [second], "1.2.3.7": []}  # fmt: skip
    assert {uid: index.derivations.of(uid) for uid in expected} == expected


@pytest.mark.parametrize("number", [1, 2])
def test_what_was_made_last_answers_a_request(index: Index, number: int) -> None:
    for each in range(number):
        index.derivations.note(derivation(each))
    assert index.derivations.of_request("r") == index.derivations.of_item(f"1.9.{number - 1}")


def test_what_a_work_item_has_made_is_noted_once(index: Index) -> None:
    index.derivations.note(derivation(1))
    index.derivations.note(derivation(1, "other", inputs=7))
    assert index.derivations.of("1.2.7") == []
    assert index.derivations.of_item("1.9.1") == derivation(1)
