"""What was performed against what was defined: the constraints of a Defined Procedure Protocol (PS3.3 10.25, C.34)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from medserver.dicom.dataset_values import value_of
from medserver.dicom.pydicom_errors import PYDICOM_ERRORS
from medserver.errors import CannotUnderstand

_SPECIFICATIONS = (
    "AcquisitionProtocolElementSpecificationSequence",
    "ReconstructionProtocolElementSpecificationSequence",
    "StorageProtocolElementSpecificationSequence",
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One constraint, and what was done.

    Parameters
    ----------
    keyword : str
        The attribute that is constrained; in which sequence items it stands comes before, with dots between.
    constraint : str
        What was defined, for people: ``120 to 140``.
    performed : str
        What was performed; empty if that is not recorded.
    is_fulfilled : bool or None
        Whether that is as defined; None if it cannot be told.
    significance : str
        What a violation means; empty if the protocol does not say.
    """

    keyword: str
    constraint: str
    performed: str
    is_fulfilled: bool | None
    significance: str


_Number = float
_TESTS: Mapping[str, tuple[str, Callable[[_Number, list[_Number]], bool]]] = {
    "RANGE_INCL": ("{0} to {1}", lambda value, limits: limits[0] <= value <= limits[1]),
    "RANGE_EXCL": ("not {0} to {1}", lambda value, limits: not limits[0] < value < limits[1]),
    "GREATER_OR_EQUAL": ("{0} or more", lambda value, limits: value >= limits[0]),
    "LESS_OR_EQUAL": ("{0} or less", lambda value, limits: value <= limits[0]),
    "GREATER_THAN": ("more than {0}", lambda value, limits: value > limits[0]),
    "LESS_THAN": ("less than {0}", lambda value, limits: value < limits[0]),
}
"""Constraint Type -> how it reads, and whether a number fulfils it (PS3.3 10.25.1)."""


def compare(defined: Dataset, performed: Dataset) -> list[Comparison]:
    """Return what became of every constraint of a defined protocol in a performed one, in its order.

    Parameters
    ----------
    defined, performed : Dataset
        A CT or XA Defined and a Performed Procedure Protocol.
    """
    return [_compared(constraint, performed) for constraint in _constraints(defined)]


def _constraints(defined: Dataset) -> Iterator[Dataset]:
    for keyword in _SPECIFICATIONS:
        for element in defined.get(keyword) or ():
            yield from element.get("ParametersSpecificationSequence") or ()


def _compared(constraint: Dataset, performed: Dataset) -> Comparison:
    way, text = _selected(constraint, performed)
    limits = [_value_of_selector(item) for item in constraint.get("ConstraintValueSequence") or ()]
    kind = str(constraint.get("ConstraintType") or "")
    return Comparison(
        way,
        _described(kind, limits),
        text,
        _is_fulfilled(kind, text, limits) if text else None,
        str(constraint.get("ConstraintViolationSignificance") or ""),
    )


def _selected(constraint: Dataset, performed: Dataset) -> tuple[str, str]:
    """Return the way to the attribute that is constrained, and its value in the performed protocol."""
    tags = _listed(constraint.get("SelectorSequencePointer"))
    numbers = _listed(constraint.get("SelectorSequencePointerItems"))
    here: Dataset | None = performed
    way = []
    for position, tag in enumerate(tags):
        number = int(numbers[position]) if position < len(numbers) else 1
        way.append(f"{keyword_for_tag(tag) or Tag(tag)}[{number}]")
        items = here.get(Tag(tag)).value if here is not None and Tag(tag) in here else ()
        here = items[number - 1] if 0 < number <= len(items) else None
    selector = constraint.get("SelectorAttribute")
    keyword = keyword_for_tag(selector) if selector is not None else ""
    values = _listed(_text_of(here, keyword)) if here is not None and keyword else []
    position = int(constraint.get("SelectorValueNumber") or 0)
    if position:
        values = values[position - 1 : position]
    return ".".join([*way, keyword or str(selector)]), "\\".join(map(str, values))


def _listed(value: object) -> list:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return value.split("\\")
    return list(value) if isinstance(value, Iterable) else [value]


def _text_of(dataset: Dataset, keyword: str) -> str | list[str] | None:
    try:
        value = value_of(dataset, keyword)
    except (CannotUnderstand, *PYDICOM_ERRORS):
        return None
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return [str(one.get("CodeValue") or "") for one in value]  # a code: its meaning may be worded differently
    return value


def _value_of_selector(item: Dataset) -> str:
    r"""Return the value of an item of a Constraint Value Sequence, with ``\`` between several."""
    for element in item:
        if element.keyword.startswith("Selector") and element.keyword.endswith("Value"):
            return "\\".join(map(str, _listed(_text_of(item, element.keyword))))
    return "\\".join(_listed(_text_of(item, "SelectorCodeSequenceValue")))


def _described(kind: str, limits: list[str]) -> str:
    if kind in _TESTS:
        pattern = _TESTS[kind][0]
        return pattern.format(*limits, *["?"] * 2)
    if kind in ("EQUAL", "MEMBER_OF"):
        return " or ".join(limits)
    if kind == "NOT_MEMBER_OF":
        return f"not {' or '.join(limits)}"
    return "anything" if kind == "UNCONSTRAINED" else f"{kind} {', '.join(limits)}".strip()


def _is_fulfilled(kind: str, text: str, limits: list[str]) -> bool | None:
    """Return whether a value fulfils a constraint; None where nobody can tell, as with MEMBER_OF_CID."""
    if kind == "UNCONSTRAINED":
        return True
    if kind in ("EQUAL", "MEMBER_OF"):
        return any(_is_same(text, limit) for limit in limits)
    if kind == "NOT_MEMBER_OF":
        return not any(_is_same(text, limit) for limit in limits)
    if kind not in _TESTS:
        return None
    try:
        return all(_TESTS[kind][1](float(one), list(map(float, limits))) for one in text.split("\\"))
    except (ValueError, IndexError):
        return None


def _is_same(one: str, other: str) -> bool:
    try:
        return [float(part) for part in one.split("\\")] == [float(part) for part in other.split("\\")]
    except ValueError:
        return one.strip() == other.strip()
