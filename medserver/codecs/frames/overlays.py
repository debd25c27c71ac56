"""Overlay planes that go with frames (PS3.3 C.9.2, C.9.3)."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset

from medserver.codecs.frames.attributes import put
from medserver.codecs.frames.chosen import Chosen
from medserver.codecs.frames.layout import Layout
from medserver.codecs.frames.pixels import bit_ranges
from medserver.errors import CannotTranscode

GROUPS = range(0x6000, 0x6100, 2)

_ROWS, _COLUMNS, _COUNT, _ORIGIN, _DATA = 0x0010, 0x0011, 0x0015, 0x0051, 0x3000

WANTED = tuple(group << 16 | element for group in GROUPS for element in (_ROWS, _COLUMNS, _COUNT, _ORIGIN))
"""What `reduce` reads."""


def reduce(dataset: Dataset, layout: Layout, chosen: Chosen) -> tuple[dict[int, Iterable[bytes]], set[int]]:
    """Keep the planes of the chosen frames.

    A plane that does not say how many frames it has goes with all of them, and stays.

    Returns
    -------
    tuple of (dict, set)
        The Overlay Data that changes, by tag; and the groups of overlays that go with none of the chosen frames.

    Raises
    ------
    CannotTranscode
        Overlay Data is shorter than its planes.
    """
    elements, left_out = {}, set()
    for group in GROUPS:
        rows, columns, count, origin = (
            int(dataset[group << 16 | element].value or 0) if group << 16 | element in dataset else 0
            for element in (_ROWS, _COLUMNS, _COUNT, _ORIGIN)
        )
        if not count:
            continue
        origin = origin or 1
        inside = chosen.within(origin, origin + count - 1)
        if inside is None:
            left_out.add(group)
            continue
        first, last = inside
        put(dataset, group << 16 | _ORIGIN, [first])
        put(dataset, group << 16 | _COUNT, [last - first + 1])
        data, bits = layout.values.get(group << 16 | _DATA), rows * columns
        if data is None:
            continue  # within the pixels, as it once was
        if not bits or count * bits > data.length * 8:
            raise CannotTranscode(f"the Overlay Data of group {group:04X} is shorter than {count} planes")
        starts = [(number - origin) * bits for number in chosen.numbers[first - 1 : last]]
        elements[group << 16 | _DATA] = bit_ranges(layout, group << 16 | _DATA, data, starts, bits)
    return elements, left_out
