"""The chain: each sealed row has a digest of itself and of the digest before it.

Whoever knows the digest of the last row, the *head*, knows all rows: none can be altered, removed, re-ordered or
inserted without another head.
"""

from __future__ import annotations

import hashlib
import json

from medserver.audit.rows import AuditRow

BEGINNING = "0" * 64
"""What stands before the first row."""


def digest_of(before: str, position: int, row: AuditRow) -> str:
    """Return the digest of a row at a position, behind the one whose digest is given.

    It is the SHA-256 of a JSON array in UTF-8, without spaces, characters beyond ASCII escaped: the digest before, the
    position, and the fields of the row in their order; so anybody can compute it.
    """
    text = json.dumps([before, position, *row], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
