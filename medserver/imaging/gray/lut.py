"""Tables from values to values: LUT Descriptor and LUT Data.

References
----------
PS3.3 C.11.1.1.1, PS3.3 C.11.2.1.1, PS3.3 C.11.6.1.1
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.values import Key, name_of, value_of, words

ENTRIES_MAX = 65536


@dataclass(frozen=True, slots=True)
class Lut:
    """A table.

    Parameters
    ----------
    first : int
        The value that the first entry is for. What is less has the first entry too, what is beyond the last, the last.
    entries : ndarray, shape (n,), uint16
        What they become.
    bits : int
        Bits of an entry.
    """

    first: int
    entries: np.ndarray
    bits: int

    @property
    def highest(self) -> int:
        """The greatest entry that the bits can hold."""
        return (1 << self.bits) - 1

    def map(self, values: np.ndarray) -> np.ndarray:
        """Return the entries for values."""
        places = np.clip(np.floor(values) - self.first, 0, len(self.entries) - 1)
        return self.entries[places.astype(np.intp)]


def descriptor(dataset: Dataset, key: Key, is_signed: bool) -> tuple[int, int, int]:
    """Return the number of entries, the first value that is mapped, and the bits of an entry.

    Parameters
    ----------
    dataset : Dataset
        Where the descriptor is.
    key : str or tuple of int
        Which attribute.
    is_signed : bool
        Whether the values that are mapped can be negative: the VR of a descriptor is often wrong.

    Raises
    ------
    CannotRender
        It is missing or has no three values.
    """
    found = [int(word) for word in words(dataset, key)]
    if len(found) != 3:
        raise CannotRender(f"{name_of(key)} has {len(found)} values and not 3")
    count, first, bits = found
    return count or ENTRIES_MAX, first - 0x10000 if is_signed and first >= 0x8000 else first, bits


def lut_of(item: Dataset, is_signed: bool) -> Lut:
    """Return the table of an item of a Modality, VOI or Presentation LUT Sequence.

    Parameters
    ----------
    item : Dataset
        The item.
    is_signed : bool
        Whether the values that are mapped can be negative.

    Raises
    ------
    CannotRender
        The descriptor is wrong, or there are fewer entries than it says.
    """
    count, first, bits = descriptor(item, "LUTDescriptor", is_signed)
    if not 1 <= bits <= 16:
        raise CannotRender(f"the entries of a LUT have {bits} bits")
    return Lut(first, _entries(item, count, bits), bits)


def _entries(item: Dataset, count: int, bits: int) -> np.ndarray:
    found = words(item, "LUTData")
    raw = value_of(item, "LUTData")
    if len(found) < count and bits <= 8 and isinstance(raw, bytes) and len(raw) >= count:
        return np.frombuffer(raw[:count], "u1").astype("<u2")  # two entries in a word
    if len(found) < count:
        raise CannotRender(f"a LUT has {len(found)} of {count} entries")
    return found[:count]
