"""What is known of a backup without unpacking it: a small JSON file beside the dump. Without it a dump is none."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from medserver.errors import DamagedObject
from medserver.index import DumpContent

DUMP_SUFFIX, MANIFEST_SUFFIX = ".dump.gz", ".json"
SIZE_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup.

    Parameters
    ----------
    name : str
        Its name; sorted names are in the order of the moments.
    made_at : datetime
        The moment before which everything is in it.
    database : str
        ``sqlite`` or ``postgresql``: only such an index can be made of it.
    migrations : tuple of str
        Those that its schema has.
    rows : Mapping of str to int
        Table -> how many rows.
    size_bytes : int
        The size of the dump as it lies on the volume, compressed.
    dump_size_bytes : int
        The size that it unpacks to.
    digest : str
        SHA-256 of the dump as it lies on the volume, hexadecimal.
    """

    name: str
    made_at: datetime
    database: str
    migrations: tuple[str, ...]
    rows: Mapping[str, int]
    size_bytes: int
    dump_size_bytes: int
    digest: str

    @property
    def dump_name(self) -> str:
        """The name of the file that holds the dump."""
        return self.name + DUMP_SUFFIX

    @property
    def manifest_name(self) -> str:
        """The name of the file that holds this."""
        return self.name + MANIFEST_SUFFIX

    @property
    def content(self) -> DumpContent:
        """What has to be found in the dump."""
        return DumpContent(self.rows, self.migrations)

    def to_bytes(self) -> bytes:
        """Return the text of the file."""
        return json.dumps(asdict(self) | {"made_at": self.made_at.isoformat()}, indent=2).encode()


def new_name(moment: datetime) -> str:
    """Return a name that no other backup has."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def read_manifest(text: bytes, name: str) -> Manifest:
    """Read the text of the file of a backup.

    Raises
    ------
    DamagedObject
        It is not that of a manifest, or of another backup.
    """
    try:
        fields = json.loads(text)
        manifest = Manifest(
            name=str(fields["name"]),
            made_at=datetime.fromisoformat(fields["made_at"]).astimezone(UTC),
            database=str(fields["database"]),
            migrations=tuple(map(str, fields["migrations"])),
            rows={str(table): int(count) for table, count in fields["rows"].items()},
            size_bytes=int(fields["size_bytes"]),
            dump_size_bytes=int(fields["dump_size_bytes"]),
            digest=str(fields["digest"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedObject(f"backup {name}: its manifest is damaged") from error
    if manifest.name != name:
        raise DamagedObject(f"backup {name}: its manifest is that of another one")
    return manifest
