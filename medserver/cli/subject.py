"""What rules are tested with: a file, or an instance that is stored here."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from medserver.cli.invocation import Invocation
from medserver.cli.text import CELL_LENGTH_MAX, printable
from medserver.dicom.uids import is_valid_uid
from medserver.errors import BadUsage, NoSuchInstance

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def subject_of(invocation: Invocation, what: str) -> tuple[Dataset, str]:
    """Return the attributes of a file or of a stored instance, and who sent it, empty if nobody knows.

    Raises
    ------
    BadUsage
        It is neither.
    NoSuchInstance
        It is not stored here.
    """
    path = Path(what)
    if what and path.is_file():
        from medserver.delivery.file_header import header_of_file  # with pydicom

        return header_of_file(path), ""
    if not is_valid_uid(what):
        raise BadUsage(f"{printable(what, CELL_LENGTH_MAX) or 'an empty name'}: no such file, and no SOP Instance UID")
    from medserver import archive
    from medserver.node import open_node

    with closing(open_node(invocation.config_file)) as node:
        stored = node.index.instances([what]).get(what)
        if stored is None:
            raise NoSuchInstance(f"no instance {what} is stored here, and there is no such file")
        return archive.read_header(node, stored), stored.calling_ae_title or ""
