"""Values of peers' data sets, as rendering needs them: numbers that are numbers, or a `CannotRender`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset

from medserver.errors import CannotRender

Key = str | tuple[int, int]

_TEXT_LENGTH_MAX = 60


def value_of(dataset: Dataset, key: Key) -> Any:
    """Return a value as pydicom has it, None if it is absent or empty.

    Raises
    ------
    CannotRender
        It cannot be decoded.
    """
    try:
        element = dataset[key] if key in dataset else None
        value = None if element is None else element.value
    except Exception as error:  # noqa: BLE001 - a value of a peer's, read by another library
        raise CannotRender(f"{name_of(key)} cannot be read: {error}") from error
    return None if value is None or isinstance(value, str | bytes | Sequence) and not len(value) else value


def numbers(dataset: Dataset, key: Key) -> tuple[float, ...]:
    """Return the numbers of an attribute, none if it is absent or empty.

    Raises
    ------
    CannotRender
        One is not a number, or not finite.
    """
    value = value_of(dataset, key)
    if value is None:
        return ()
    several = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,)
    try:
        found = tuple(float(each) for each in several)
    except (TypeError, ValueError, OverflowError):
        found = (math.nan,)
    if not all(map(math.isfinite, found)):
        raise CannotRender(f"{name_of(key)} is {str(value)[:_TEXT_LENGTH_MAX]!r}, which is not a number")
    return found


def number(dataset: Dataset, key: Key, default: float | None = None) -> float | None:
    """Return the first number of an attribute, the default if there is none.

    Raises
    ------
    CannotRender
        As for `numbers`.
    """
    found = numbers(dataset, key)
    return found[0] if found else default


def integer(dataset: Dataset, key: Key, default: int | None = None) -> int:
    """Return the first number of an attribute as an integer.

    Raises
    ------
    CannotRender
        It is missing and there is no default, or it is not an integer.
    """
    found = number(dataset, key, default)
    if found is None:
        raise CannotRender(f"{name_of(key)} is missing")
    if found != int(found):
        raise CannotRender(f"{name_of(key)} is {found}, which is not an integer")
    return int(found)


def text(dataset: Dataset, key: Key) -> str:
    """Return the first value of an attribute as text, empty if it is absent."""
    value = value_of(dataset, key)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        value = value[0]
    return "" if value is None else str(value).strip(" \0")


def texts(dataset: Dataset, key: Key) -> tuple[str, ...]:
    """Return the values of an attribute as texts, none if it is absent."""
    value = value_of(dataset, key)
    several = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else (value,)
    return () if value is None else tuple(str(each).strip(" \0") for each in several)


def items(dataset: Dataset, key: Key) -> tuple[Dataset, ...]:
    """Return the items of a sequence, none if it is absent.

    Raises
    ------
    CannotRender
        It is no sequence.
    """
    value = value_of(dataset, key)
    if value is None:
        return ()
    if not isinstance(value, Sequence) or not all(isinstance(each, Dataset) for each in value):
        raise CannotRender(f"{name_of(key)} is no sequence")
    return tuple(value)


def words(dataset: Dataset, key: Key) -> np.ndarray:
    """Return 16-bit words, whatever the VR: US, SS, OW, or UN, in a data set of little endian.

    Returns
    -------
    ndarray, shape (n,), uint16
        Empty if the attribute is absent.

    Raises
    ------
    CannotRender
        They are no words.
    """
    value = value_of(dataset, key)
    if value is None:
        return np.empty(0, "<u2")
    if isinstance(value, bytes):
        return np.frombuffer(value[: len(value) & ~1], "<u2")
    several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    try:
        return np.array([int(each) & 0xFFFF for each in several], "<u2")
    except (TypeError, ValueError):
        raise CannotRender(f"{name_of(key)} has values that are no words") from None


def name_of(key: Key) -> str:
    """Return how an attribute is called."""
    try:
        return dictionary_description(key)
    except (KeyError, ValueError):
        return key if isinstance(key, str) else f"({key[0]:04X},{key[1]:04X})"
