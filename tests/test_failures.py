"""Tests that go through many cases name all that failed."""

from __future__ import annotations

import pytest

from tests.failures import Failures


def test_all_that_failed_are_named_and_the_others_are_tried() -> None:
    tried = []
    with pytest.raises(ExceptionGroup, match=r"^2 of 4 failed: 1, 3\b") as raised, Failures() as failures:
        for number in range(4):
            with failures.of(number):
                tried.append(number)
                assert number % 2 == 0
    assert tried == [0, 1, 2, 3]
    assert [error.__notes__ for error in raised.value.exceptions] == [["case: 1"], ["case: 3"]]


def test_what_does_not_belong_to_a_case_ends_the_test() -> None:
    with pytest.raises(KeyError), Failures() as failures:
        with failures.of("wrong"):
            raise ValueError
        raise KeyError
    with pytest.raises(pytest.skip.Exception), Failures() as failures, failures.of("missing"):
        pytest.skip("a peer is missing")


def test_no_cases_are_no_success() -> None:
    with pytest.raises(AssertionError, match="no cases"), Failures():
        pass
