"""Attributes of a data set are changed on its way to another AE. Runs in worker processes only.

What they were is kept in the Original Attributes Sequence (PS3.3 C.12.1.1.9).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from shutil import copyfileobj
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset

from medserver.codecs.conversion import limit_file_size
from medserver.codecs.data_sets import write_whole
from medserver.codecs.deflation import Deflater
from medserver.codecs.elements import Walker
from medserver.codecs.inflation import inflate
from medserver.codecs.survey import Survey
from medserver.codecs.syntaxes import encoding_of
from medserver.dicom.uids import transfer_syntax
from medserver.errors import CannotTranscode
from medserver.region import open_region

REASON = "COERCE"
"""PS3.3 table C.12-1: values were changed to those that the receiver expects."""

_MODIFYING_SYSTEM_LENGTH_MAX = 64


def coerce(
    source_descriptor: int,
    output_descriptor: int,
    offset: int,
    size_bytes: int,
    transfer_syntax_uid: str,
    directory: str,
    size_max_bytes: int,
    changes: Mapping[str, Any],
    modifying_system: str,
) -> None:
    """Write a data set with some attributes changed, in the transfer syntax that it has.

    Parameters
    ----------
    source_descriptor, output_descriptor, offset, size_bytes, directory, size_max_bytes
        As for `conversion.convert`.
    transfer_syntax_uid : str
        How it is encoded.
    changes : Mapping
        ``set``: keyword -> value; ``remove``: keywords; ``map``: keyword -> (value -> other value).
    modifying_system : str
        Who changes it.

    Raises
    ------
    CannotTranscode
        The data set is damaged or too large to be held in memory, or cannot have such a value.
    """
    limit_file_size(size_max_bytes)
    syntax, encoding = transfer_syntax(transfer_syntax_uid), encoding_of(transfer_syntax_uid)
    with open_region(source_descriptor, offset, size_bytes) as source, tempfile.TemporaryFile(dir=directory) as plain:
        stream = source
        if syntax.deflated:
            stream, size_bytes = plain, inflate(source, size_bytes, plain, size_max_bytes)
            plain.seek(0)
        # pydicom takes a data set that is cut off for one that ends there; this does not.
        Walker(stream, size_bytes, encoding, Survey(stream, syntax.encapsulated)).walk()
        stream.seek(0)
        dataset = read_dataset(stream, syntax.implicit_vr, syntax.little_endian)
    change(dataset, changes, modifying_system)
    with os.fdopen(output_descriptor, "wb", closefd=False) as output:
        if not syntax.deflated:
            write_whole(dataset, output, encoding)
            return
        with tempfile.TemporaryFile(dir=directory) as plain:
            write_whole(dataset, plain, encoding)
            plain.seek(0)
            deflater = Deflater(output)
            copyfileobj(plain, deflater)
            deflater.finish()


def change(dataset: Dataset, changes: Mapping[str, Any], modifying_system: str) -> None:
    """Change attributes of a data set, and note what they were.

    Raises
    ------
    CannotTranscode
        A value cannot be that of its attribute.
    """
    before = Dataset()
    for keyword, value in _wanted(dataset, changes):
        tag = tag_for_keyword(keyword)
        if tag in dataset:
            before[tag] = deepcopy(dataset.get_item(tag))
        elif value is None:
            continue
        if value is None:
            del dataset[tag]
            continue
        try:
            setattr(dataset, keyword, value)
            dataset[tag]  # noqa: B018 - pydicom looks at a value when it is asked for
        except (ValueError, TypeError) as error:
            raise CannotTranscode(f"{keyword} cannot have the value: {error}") from error
    if not before:
        return
    item = Dataset()
    item.AttributeModificationDateTime = f"{datetime.now(UTC):%Y%m%d%H%M%S+0000}"
    item.ModifyingSystem = modifying_system[:_MODIFYING_SYSTEM_LENGTH_MAX]
    item.SourceOfPreviousValues = ""
    item.ReasonForTheAttributeModification = REASON
    item.ModifiedAttributesSequence = [before]
    dataset.OriginalAttributesSequence = [*dataset.get("OriginalAttributesSequence", []), item]


def _wanted(dataset: Dataset, changes: Mapping[str, Any]) -> Sequence[tuple[str, str | None]]:
    """Return what is to change: keyword and new value, None if the attribute is to go."""
    found: list[tuple[str, str | None]] = []
    for keyword, others in changes.get("map", {}).items():
        value = str(dataset.get(keyword, ""))
        if value in others:
            found.append((keyword, others[value]))
    found += changes.get("set", {}).items()
    found += [(keyword, None) for keyword in changes.get("remove", ())]
    return found
