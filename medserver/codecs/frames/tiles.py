"""Tiles of a whole slide: where they lie is said for each, once they are not all of them (PS3.3 C.7.6.17.3)."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from medserver.codecs.frames.attributes import put, text_of
from medserver.codecs.frames.chosen import Chosen
from medserver.codecs.frames.layout import PER_FRAME_GROUPS, Layout
from medserver.codecs.frames.times import number_of, numbers_of
from medserver.dicom.data_sets import write_element
from medserver.dicom.nesting import HEADER_SIZE_BYTES, ITEM
from medserver.dicom.uids import name_based_uid
from medserver.errors import CannotTranscode

TILED_FULL, TILED_SPARSE = "TILED_FULL", "TILED_SPARSE"

_LABEL_MAP = "LABELMAP"
_UM_PER_MM = 1000
_CHANNELS = {
    # the sequence with an item for each channel, and the functional group that says which one a frame shows
    "OpticalPathSequence": ("OpticalPathIdentificationSequence", "OpticalPathIdentifier"),
    "SegmentSequence": ("SegmentIdentificationSequence", "ReferencedSegmentNumber"),
}

TYPE = "DimensionOrganizationType"
"""Says whether the places of tiles go without saying: see `is_full`."""

WANTED = (
    "DimensionOrganizationSequence", "DimensionIndexSequence", "TotalPixelMatrixColumns",
    "TotalPixelMatrixRows", "TotalPixelMatrixFocalPlanes", "TotalPixelMatrixOriginSequence", "ImageOrientationSlide",
    "SharedFunctionalGroupsSequence", "SegmentationType", "ConcatenationFrameOffsetNumber", "Rows", "Columns",
    *_CHANNELS,
)  # fmt: skip
"""What is read here of a slide that is full, besides its type."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its channel and focal plane from 0, and its first row and column in the Total Pixel Matrix from 1."""

    channel: int
    plane: int
    row: int
    column: int


class Slide:
    """The grid of tiles whose places go without saying.

    Parameters
    ----------
    dataset : Dataset
        Has the attributes of `WANTED`.

    Raises
    ------
    CannotTranscode
        Something is missing that places the tiles.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._size = tuple(_needed(dataset, keyword) for keyword in ("Rows", "Columns"))
        matrix = (_needed(dataset, keyword) for keyword in ("TotalPixelMatrixRows", "TotalPixelMatrixColumns"))
        self._grid = tuple(math.ceil(whole / part) for whole, part in zip(matrix, self._size, strict=True))
        self.planes = int(number_of(dataset, "TotalPixelMatrixFocalPlanes") or 1)
        self._orientation = numbers_of(dataset, "ImageOrientationSlide")
        origin = _first(dataset, "TotalPixelMatrixOriginSequence")
        self._origin = tuple(number_of(origin, f"{axis}OffsetInSlideCoordinateSystem") for axis in "XY")
        self._height_um = number_of(origin, "ZOffsetInSlideCoordinateSystem") or 0.0
        measures = _first(_first(dataset, "SharedFunctionalGroupsSequence"), "PixelMeasuresSequence")
        self._spacing = numbers_of(measures, "PixelSpacing")
        self._plane_spacing = number_of(measures, "SpacingBetweenSlices")
        if len(self._orientation) != 6 or len(self._spacing) != 2 or None in self._origin:
            raise CannotTranscode("the slide does not say where its tiles lie")
        if self.planes > 1 and self._plane_spacing is None:
            raise CannotTranscode("the slide does not say how far its focal planes are apart")

    @property
    def count(self) -> int:
        """How many tiles there are of each channel."""
        return self._grid[0] * self._grid[1] * self.planes

    def tile(self, index: int) -> Tile:
        """Return the tile of a frame, counted from 0: columns first, then rows, focal planes and channels."""
        index, column = divmod(index, self._grid[1])
        index, row = divmod(index, self._grid[0])
        channel, plane = divmod(index, self.planes)
        return Tile(channel, plane, row * self._size[0] + 1, column * self._size[1] + 1)

    def position(self, tile: Tile) -> tuple[float, float, float]:
        """Return where the centre of the first pixel of a tile lies: x and y [mm], z [um]."""
        down, right = (tile.row - 1) * self._spacing[0], (tile.column - 1) * self._spacing[1]
        x, y = (
            start + right * self._orientation[axis] + down * self._orientation[3 + axis]
            for axis, start in enumerate(self._origin)
        )
        return x, y, self._height_um + tile.plane * (self._plane_spacing or 0.0) * _UM_PER_MM

    def indices(self, tile: Tile) -> tuple[int, int]:
        """Return the number of the row and of the column of tiles."""
        return (tile.row - 1) // self._size[0] + 1, (tile.column - 1) // self._size[1] + 1


def is_full(dataset: Dataset) -> bool:
    """Tell whether the frames are all tiles of a slide, in their order, so that their places go without saying."""
    return str(dataset.get(TYPE) or "").strip() == TILED_FULL


def spell_out(dataset: Dataset, layout: Layout, chosen: Chosen, sop_instance_uid: str) -> Iterable[bytes] | None:
    """Say of tiles that are not all of a slide where each lies, and that they are not all.

    Parameters
    ----------
    dataset : Dataset
        Has the attributes of `WANTED`, of which some change.
    layout : Layout
        Of the object.
    chosen : Chosen
        The frames.
    sop_instance_uid : str
        That of the new instance.

    Returns
    -------
    iterable of bytes, or None
        The Per-Frame Functional Groups Sequence; None where the items that are there say it, or nothing need be said.

    Raises
    ------
    CannotTranscode
        Something is missing that places the tiles.
    """
    if not is_full(dataset):
        return None
    if layout.positions and layout.positions == chosen.of:
        put(dataset, TYPE, [TILED_SPARSE])
        return None
    if layout.groups:
        raise CannotTranscode("the functional groups of the frames do not say where the tiles lie")
    slide = Slide(dataset)
    channels = list(_channels(dataset))
    first = int(number_of(dataset, "ConcatenationFrameOffsetNumber") or 0)
    tiles = [slide.tile(first + number - 1) for number in chosen.numbers]
    if first + chosen.of > slide.count * max(len(channels), 1):
        raise CannotTranscode("the slide has more tiles than it says")
    put(dataset, TYPE, [TILED_SPARSE])
    _add_dimensions(dataset, channels, slide, sop_instance_uid)
    return _encoded(layout, (_groups(slide, tile, channels) for tile in tiles))


def _needed(dataset: Dataset, keyword: str) -> int:
    number = number_of(dataset, keyword)
    if not number or number < 0:
        raise CannotTranscode(f"the slide has no {keyword}")
    return int(number)


def _first(dataset: Dataset, keyword: str) -> Dataset:
    items = dataset[keyword].value if keyword in dataset else None
    return items[0] if items else Dataset()


def _channels(dataset: Dataset) -> Iterator[tuple[str, str, object]]:
    """Yield what says of a frame that it shows a channel: the functional group, its attribute, and the value."""
    for sequence, (group, keyword) in _CHANNELS.items():
        if sequence not in dataset or str(dataset.get("SegmentationType") or "").strip() == _LABEL_MAP:
            continue
        for number, item in enumerate(dataset[sequence].value or (), 1):
            own = item.get("SegmentNumber" if sequence == "SegmentSequence" else keyword)
            yield group, keyword, number if own is None else own


def _add_dimensions(dataset: Dataset, channels: list[tuple], slide: Slide, sop_instance_uid: str) -> None:
    """Name the dimensions whose indices `_groups` gives (PS3.3 C.7.6.17)."""
    organization = Dataset()
    organization.DimensionOrganizationUID = name_based_uid(uuid.NAMESPACE_OID, f"{sop_instance_uid} tiles")
    position = "PlanePositionSlideSequence"
    pointers = [
        (position, "RowPositionInTotalImagePixelMatrix"),
        (position, "ColumnPositionInTotalImagePixelMatrix"),
    ]
    if slide.planes > 1:
        pointers.insert(0, (position, "ZOffsetInSlideCoordinateSystem"))
    if len(channels) > 1:
        pointers.insert(0, channels[0][:2])
    dataset.DimensionOrganizationSequence = [organization]
    dataset.DimensionIndexSequence = []
    for group, keyword in pointers:
        item = Dataset()
        item.DimensionIndexPointer = tag_for_keyword(keyword)
        item.FunctionalGroupPointer = tag_for_keyword(group)
        item.DimensionOrganizationUID = organization.DimensionOrganizationUID
        dataset.DimensionIndexSequence.append(item)


def _groups(slide: Slide, tile: Tile, channels: list[tuple]) -> Dataset:
    """Return the functional groups of a tile."""
    content, position, groups = Dataset(), Dataset(), Dataset()
    indices = list(slide.indices(tile))
    if slide.planes > 1:
        indices.insert(0, tile.plane + 1)
    if len(channels) > 1:
        indices.insert(0, tile.channel + 1)
        group, keyword, value = channels[tile.channel]
        shown = Dataset()
        setattr(shown, keyword, value)
        setattr(groups, group, [shown])
    content.DimensionIndexValues = indices
    position.ColumnPositionInTotalImagePixelMatrix = tile.column
    position.RowPositionInTotalImagePixelMatrix = tile.row
    for axis, value in zip("XYZ", slide.position(tile), strict=True):
        setattr(position, f"{axis}OffsetInSlideCoordinateSystem", text_of(value))
    groups.FrameContentSequence = [content]
    groups.PlanePositionSlideSequence = [position]
    return groups


def _encoded(layout: Layout, items: Iterable[Dataset]) -> Iterable[bytes]:
    """Return the sequence as encoded."""
    pack, encoding = layout.encoding.tag_and_length.pack, layout.encoding
    encoded = [b"".join(write_element(element, encoding, ["ascii"]) for element in item) for item in items]
    yield encoding.header(PER_FRAME_GROUPS, "SQ", sum(len(item) + HEADER_SIZE_BYTES for item in encoded))
    for item in encoded:
        yield pack(ITEM >> 16, ITEM & 0xFFFF, len(item))
        yield item
