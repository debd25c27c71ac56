"""What a Print SCU is told beside success: it was done, and not quite as asked.

References
----------
PS3.4 H.4.1.2.1.2, PS3.4 H.4.1.2.4.2, PS3.4 H.4.2.2.1.2, PS3.4 H.4.2.2.4.2, PS3.4 H.4.3.1.2.1.2
"""

from __future__ import annotations

from enum import Enum


class Remark(Enum):
    """What is remarked, in words; the first of several is told."""

    OUT_OF_RANGE = "the number of copies was reduced to what the printer makes at most"
    NO_MEMORY_ALLOCATED = "no memory is allocated: films take what they need"
    NOT_COLLATED = "the copies of each film come together"
    EMPTY_FILM = "a film has no image, and is printed so"
    CROPPED = "an image is larger than its image box, and is cropped"
    DECIMATED = "an image is larger than its image box, and is decimated"
    DEMAGNIFIED = "an image is larger than its image box, and is made smaller"
    DENSITY_CLIPPED = "a density is beyond those of the printer, whose own is used"
