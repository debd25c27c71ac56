"""The marker of a volume: a small file in its root, or an object in its bucket, that says which volume of which archive
this is. It is made once, and never overwritten."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import UUID, uuid4

from medserver.errors import StoreFailure

NAME = "medserver-volume.json"

FORMAT = 1
"""How the objects, notes and journals of the volume are laid out."""

SIZE_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Marker:
    """Which volume of which archive something is.

    Parameters
    ----------
    volume_uuid, archive_uuid : str
        As `uuid.UUID` writes them.
    """

    volume_uuid: str
    archive_uuid: str

    @classmethod
    def new(cls, archive_uuid: str | None = None) -> Marker:
        """Return the marker of a new volume, of an archive that is new as well if none is named."""
        return cls(str(uuid4()), archive_uuid or str(uuid4()))

    def encode(self) -> bytes:
        """Return what the file holds."""
        fields = {"volume": self.volume_uuid, "archive": self.archive_uuid, "format": FORMAT}
        return json.dumps(fields, indent=1).encode() + b"\n"


def decode(content: bytes, where: str) -> Marker:
    """Return the marker that a file holds.

    Raises
    ------
    StoreFailure
        It holds none, or that of a newer version of this program.
    """
    try:
        fields = json.loads(content)
        marker = Marker(str(UUID(fields["volume"])), str(UUID(fields["archive"])))
        number = int(fields["format"])
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StoreFailure(f"{where}/{NAME} is damaged: bring it back from a copy") from None
    if number > FORMAT:
        raise StoreFailure(f"{where} was written by a newer version of medserver (format {number})")
    return marker
