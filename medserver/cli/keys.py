r"""The option ``-k KEY[=VALUE]`` of queries and retrieves.

KEY is a keyword (``PatientID``), a tag (``0010,0020``) or a path into a sequence
(``RequestAttributesSequence[0].ScheduledProcedureStepID``). Several values have a backslash between them. Without a
value the key asks for the attribute and matches everything.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import click
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_keyword, dictionary_VR, keyword_dict, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from medserver.config.values import closest
from medserver.dicom.character_sets import UNICODE_UTF_8, can_represent
from medserver.dicom.representations import BINARY_NUMBERS, BULK_VRS, FLOAT_VRS
from medserver.errors import BadUsage
from medserver.log import escaped

BINARY_VRS = BULK_VRS | {"AT"}

_STEP = re.compile(r"([A-Za-z][A-Za-z0-9]*|\(?([0-9A-Fa-f]{4}),([0-9A-Fa-f]{4})\)?)(?:\[([0-9]{1,4})\])?")

key_option = click.option(
    "-k",
    "--key",
    "keys",
    metavar="KEY[=VALUE]",
    multiple=True,
    help="A matching key, or without a value a return key. KEY is a keyword, a tag (0010,0020) or a path "
    "(RequestAttributesSequence[0].ScheduledProcedureStepID). May be repeated.",
)


@dataclass(frozen=True)
class Keys:
    """What ``-k`` options say.

    Parameters
    ----------
    identifier : Dataset
        The keys as the identifier of a request.
    tags : tuple of BaseTag
        The attributes that were named, each once, in this order.
    only_matching : bool
        Whether each of them has a value, so that nothing is asked for.
    """

    identifier: Dataset
    tags: tuple[BaseTag, ...]
    only_matching: bool


def parse_keys(texts: Sequence[str]) -> Keys:
    """Read ``-k`` options.

    The identifier names UTF-8 as its character set if a value needs more than ASCII.

    Raises
    ------
    BadUsage
        One of them is not a key.
    """
    identifier = Dataset()
    tags: dict[BaseTag, None] = {}
    for text in texts:
        path, _, value = text.partition("=")
        tags[_set_key(identifier, path.strip(), value)] = None
    _choose_character_set(identifier, texts)
    return Keys(identifier, tuple(tags), all("=" in text and not text.endswith("=") for text in texts))


def _set_key(identifier: Dataset, path: str, value: str) -> BaseTag:
    """Put one key into the identifier; return its tag at the top level."""
    first, dataset = None, identifier
    steps = path.split(".")
    for position, step in enumerate(steps):
        match = _STEP.fullmatch(step)
        if match is None:
            raise BadUsage(
                f"'{escaped(path)}' is not a key: write PatientID=1, 0010,0020=1 or Sequence[0].Keyword=1"
            )
        tag = _tag(match)
        first = tag if first is None else first
        if position < len(steps) - 1:
            dataset = _item(dataset, tag, match[4], path)
        elif match[4] is not None:
            _item(dataset, tag, match[4], path)
            if value:
                raise BadUsage(f"'{escaped(path)}' is an item of a sequence and has no value")
        elif value or tag not in dataset:  # a return key takes nothing away from a matching key
            dataset[tag] = _element(tag, value)
    return first


def _tag(match: re.Match[str]) -> BaseTag:
    if match[2] is not None:
        return Tag(int(match[2], 16), int(match[3], 16))
    number = tag_for_keyword(match[1])
    if number is None:
        near = closest_keyword(match[1])
        raise BadUsage(f"'{match[1]}' is not a keyword of DICOM{near}")
    return Tag(number)


def closest_keyword(word: str) -> str:
    """Return `` (did you mean 'PatientID'?)``, nothing if no keyword is near."""
    by_lower = {keyword.lower(): keyword for keyword in keyword_dict}
    near = closest(word, by_lower)
    found = re.search(r"did you mean '(\w+)'", near)
    return f" (did you mean '{by_lower[found[1]]}'?)" if found else ""


def _vr(tag: BaseTag) -> str:
    try:
        return dictionary_VR(tag).partition(" or ")[0]
    except KeyError:
        if tag.is_private_creator:
            return "LO"
        raise BadUsage(f"{tag} is not in the data dictionary") from None


def _item(dataset: Dataset, tag: BaseTag, index: str | None, path: str) -> Dataset:
    """Return the one item that a sequence of matching keys has (PS3.4 C.2.2.2.6)."""
    if _vr(tag) != "SQ":
        raise BadUsage(f"{dictionary_keyword(tag)} in '{escaped(path)}' is not a sequence")
    if index not in (None, "0"):
        raise BadUsage(f"'{escaped(path)}': a sequence of keys has one item, [0]")
    if tag not in dataset or not dataset[tag].value:
        dataset[tag] = DataElement(tag, "SQ", [Dataset()])
    return dataset[tag].value[0]


def _element(tag: BaseTag, text: str) -> DataElement:
    vr = _vr(tag)
    if vr == "SQ":
        if text:
            keyword = dictionary_keyword(tag)
            raise BadUsage(f"{keyword} is a sequence: write {keyword}[0].KEY=VALUE")
        return DataElement(tag, vr, [])
    if vr in BINARY_VRS and text:
        raise BadUsage(f"{tag} has the VR {vr}, by which nothing is matched")
    try:
        return DataElement(tag, vr, _value(vr, text), validation_mode=IGNORE)
    except (ValueError, OverflowError) as error:
        raise BadUsage(f"'{escaped(text)}' is not a value of {tag} {vr}: {escaped(str(error))}") from None


def _value(vr: str, text: str) -> object:
    """Return what pydicom takes as the value.

    Raises
    ------
    ValueError
        The text is no number of the VR, or one that it has no room for.
    """
    if not text or vr not in BINARY_NUMBERS:
        return text or None
    numbers = [float(part) if vr in FLOAT_VRS else int(part) for part in text.split("\\")]
    for number in numbers:
        if not math.isfinite(number):
            raise ValueError("nothing is equal to it")
        try:
            struct.pack(f"<{BINARY_NUMBERS[vr]}", number)
        except (struct.error, OverflowError):
            raise ValueError("it is out of the range of the VR") from None
    return numbers


def _choose_character_set(identifier: Dataset, texts: Sequence[str]) -> None:
    """Name the character set that the keys need (PS3.4 C.4.1.1.3.1)."""
    joined = "".join(texts)
    if not can_represent(joined, UNICODE_UTF_8):
        raise BadUsage("a key holds bytes that are not text in the character set of this terminal")
    if "SpecificCharacterSet" not in identifier:
        if not joined.isascii():
            identifier.SpecificCharacterSet = UNICODE_UTF_8
        return
    value = identifier.SpecificCharacterSet
    chosen = value if isinstance(value, str) else "\\".join(value or ())
    if not can_represent(joined, chosen):
        raise BadUsage(
            f"the keys hold characters that are not in the character set {escaped(chosen) or 'of ASCII'}"
        )
