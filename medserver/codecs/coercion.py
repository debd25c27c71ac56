"""Attributes of a data set are changed on its way to another AE. Runs in worker processes only.

What they were is kept in the Original Attributes Sequence (PS3.3 C.12.1.1.9).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, BinaryIO

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from medserver.codecs.conversion import limit_file_size
from medserver.codecs.data_sets.deflation import Deflater
from medserver.codecs.data_sets.inflation import plain_data_set
from medserver.codecs.data_sets.parts import Parts
from medserver.codecs.data_sets.recoding import Characters, Recoder
from medserver.codecs.data_sets.writing import encoded_elements
from medserver.dicom.character_sets import (
    SPECIFIC_CHARACTER_SET,
    can_represent,
    character_set_for,
    decode_value,
    is_usable,
    python_codecs,
    read_specific_character_set,
)
from medserver.dicom.data_sets import write_element
from medserver.dicom.dataset_values import value_of
from medserver.dicom.encodings import IMPLICIT_LITTLE, Encoding, encoding_of
from medserver.dicom.new_values import new_value
from medserver.dicom.representations import TEXT_VRS
from medserver.dicom.type_2 import TYPE_2
from medserver.dicom.uids import transfer_syntax
from medserver.dicom.walker import Walker
from medserver.errors import CannotTranscode
from medserver.region import open_region

REASON = "COERCE"
"""PS3.3 table C.12-1: values were changed to those that the receiver expects."""

_MODIFYING_SYSTEM_LENGTH_MAX = 64
_SOP_CLASS_UID = 0x00080016  # short: pydicom takes some lengths in front for a VR, and implicit VR for explicit
_ORIGINAL_ATTRIBUTES = 0x04000561
_ANY_TAG = 0x00081030
_IMPLICIT_HEADER_SIZE_BYTES = 8


def coerce(
    source_descriptor: int,
    output_descriptor: int,
    changes_descriptor: int,
    offset: int,
    size_bytes: int,
    transfer_syntax_uid: str,
    directory: str,
    size_max_bytes: int,
    modifying_system: str,
) -> None:
    """Write a data set with some attributes changed, in the transfer syntax that it has.

    Parameters
    ----------
    source_descriptor, output_descriptor, offset, size_bytes, directory, size_max_bytes
        As for `conversion.convert`.
    changes_descriptor : int
        A file with the changes, in JSON: an object with any of these.
        ``set``: keyword -> value; ``remove``: keywords; ``map``: keyword -> (value -> other value), for all values of
        an attribute together or for each of them.
    transfer_syntax_uid : str
        How it is encoded.
    modifying_system : str
        Who changes it.

    Raises
    ------
    CannotTranscode
        The data set is damaged, or cannot have such a value.
    """
    limit_file_size(size_max_bytes)
    with os.fdopen(os.dup(changes_descriptor), "rb") as written:
        written.seek(0)
        changes = json.load(written)
    syntax, encoding = transfer_syntax(transfer_syntax_uid), encoding_of(transfer_syntax_uid)
    with ExitStack() as files:
        source = open_region(source_descriptor, offset, size_bytes)
        stream, size_bytes = files.enter_context(plain_data_set(source, size_bytes, syntax, directory, size_max_bytes))
        parts = Parts(stream, size_bytes, encoding, syntax.encapsulated)
        tags = {SPECIFIC_CHARACTER_SET, _SOP_CLASS_UID, _ORIGINAL_ATTRIBUTES, *_tags(changes)}
        dataset = parts.read(tags)
        character_set = _character_set_for(dataset, changes, stream, size_bytes, encoding)
        if character_set is not None:
            recoded = files.enter_context(tempfile.TemporaryFile(dir=directory))
            recoder = Recoder(stream, parts.encoding, recoded, parts.facts, _codecs(dataset), character_set)
            Walker(stream, size_bytes, encoding, recoder).walk()
            parts = Parts(recoded, recoded.tell(), encoding, syntax.encapsulated)
            dataset = parts.read(tags)
        change(dataset, changes, modifying_system)
        output = files.enter_context(os.fdopen(output_descriptor, "wb", closefd=False))
        deflater = Deflater(output) if syntax.deflated else None
        parts.write(deflater or output, tags, encoded_elements(dataset, parts.encoding))
        if deflater:
            deflater.finish()


def _tags(changes: Mapping[str, Any]) -> list[int]:
    """Return the tags of the attributes that may change."""
    keywords = [*changes.get("map", ()), *changes.get("set", ()), *changes.get("remove", ())]
    return [tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None]


def _codecs(dataset: Dataset) -> list[str]:
    codecs = dataset.original_character_set
    return [codecs] if isinstance(codecs, str) else list(codecs)


def _character_set_for(
    dataset: Dataset, changes: Mapping[str, Any], stream: BinaryIO, size_bytes: int, encoding: Encoding
) -> str | None:
    """Return the character set that a data set needs for its new texts and its old ones, None if it has it."""
    wanted = ((keyword, value) for keyword, value in _wanted(dataset, changes).items() if value and not value.isascii())
    texts = {value: vr for keyword, value in wanted if (vr := dictionary_VR(keyword)) in TEXT_VRS}
    stated = dataset.get_item(SPECIFIC_CHARACTER_SET) if SPECIFIC_CHARACTER_SET in dataset else None
    raw = (stated.value if stated is not None else None) or b""
    terms = read_specific_character_set(raw)
    if all(_holds(raw, terms, text, vr) for text, vr in texts.items()):
        return None
    characters = Characters(stream, _codecs(dataset))
    Walker(stream, size_bytes, encoding, characters).walk()
    return character_set_for([*texts, "".join(sorted(characters.found))])


def _holds(raw: bytes, terms: Sequence[str], text: str, vr: str) -> bool:
    """Tell whether a text that is written in a Specific Character Set reads as it is, and others know this set."""
    if raw.decode("latin-1").strip(" \0") != "\\".join(terms) or not is_usable(terms):
        return False
    if not can_represent(text, "\\".join(terms)):
        return False
    codecs = python_codecs(terms)
    written = write_element(DataElement(_ANY_TAG, vr, text), IMPLICIT_LITTLE, codecs)
    return decode_value(written[_IMPLICIT_HEADER_SIZE_BYTES:], vr, codecs) == text.rstrip()


def change(dataset: Dataset, changes: Mapping[str, Any], modifying_system: str) -> None:
    """Change attributes of a data set, and note what they were.

    Raises
    ------
    CannotTranscode
        A value cannot be that of its attribute.
    """
    before = Dataset(parent_encoding=dataset.original_character_set)
    before.set_original_encoding(*dataset.original_encoding, dataset.original_character_set)  # written as it was read
    for keyword, value in _wanted(dataset, changes).items():
        tag = tag_for_keyword(keyword)
        if tag in dataset:
            old = dataset.get_item(tag)
            if value == "" and not old.value:
                continue
            before[tag] = deepcopy(old)
        elif value is None:
            continue
        if value is None:
            del dataset[tag]
            continue
        try:
            vr, values = new_value(keyword, value)
        except ValueError as error:
            raise CannotTranscode(f"{keyword} cannot have the value: {error}") from error
        # Not into the old element: that may have another VR, or a value that cannot be read.
        dataset[tag] = DataElement(tag, vr, values if len(values) > 1 else values[0] if values else None)
    if not before:
        return
    item = Dataset()
    item.AttributeModificationDateTime = f"{datetime.now(UTC):%Y%m%d%H%M%S+0000}"
    item.ModifyingSystem = modifying_system[:_MODIFYING_SYSTEM_LENGTH_MAX]
    item.SourceOfPreviousValues = ""
    item.ReasonForTheAttributeModification = REASON
    item.ModifiedAttributesSequence = [before]
    dataset.OriginalAttributesSequence = [*dataset.get("OriginalAttributesSequence", []), item]


def _wanted(dataset: Dataset, changes: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what is to change: keyword -> new value, None if the attribute is to go.

    Of several changes of one attribute the last one counts, so that none takes the work of another for what was there.
    """
    wanted: dict[str, str | None] = {}
    for keyword, others in changes.get("map", {}).items():
        value = value_of(dataset, keyword)
        old = [each.strip() for each in value] if isinstance(value, list) else [value or ""]
        whole = "\\".join(old)
        new = others[whole] if whole in others else "\\".join(others.get(each, each) for each in old)
        if new != whole or whole in others:
            wanted[keyword] = new
    wanted |= changes.get("set", {})
    for keyword in changes.get("remove", ()):
        # PS3.5 7.4.3: without an attribute of Type 2 an object is wrong, without its value it is not
        wanted[keyword] = "" if keyword in TYPE_2 and keyword in dataset else None
    return wanted
