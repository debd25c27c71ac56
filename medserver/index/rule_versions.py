"""Versions of rules, by which deliveries were decided, `Index.rule_versions`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from peewee import Query

from medserver.index.database import models
from medserver.index.database.access import Access
from medserver.index.database.moments import to_text
from medserver.index.database.statements import PARAMETER, insertion, statement

_Rows = models.RuleVersions


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """What a rule said when something was decided by it.

    Parameters
    ----------
    digest : str
        Of the content, SHA-256, hexadecimal.
    name : str
        The first rule that said so.
    content : Mapping
        What JSON can hold, see `Route.content`.
    """

    digest: str
    name: str
    content: Mapping[str, Any]


class RuleVersions:
    """Notes versions of rules. A version is never changed.

    Every method raises `IndexFailure` if the database fails.

    Parameters
    ----------
    access : Access
        The ways to the database.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._backend = access.backend
        self._noted: set[str] = set()

    @statement
    def _note(self) -> Query:
        return insertion(_Rows, ("digest", "name", "content", "noted_at")).on_conflict(action="NOTHING")

    @statement
    def _get(self) -> Query:
        return _Rows.select(_Rows.name, _Rows.content).where(_Rows.digest == PARAMETER)

    def has_noted(self, digest: str) -> bool:
        """Tell whether this process has noted a version; a look that reads nothing."""
        return digest in self._noted

    def note(self, version: RuleVersion) -> None:
        """Note a version, flushed; one that is there stays."""
        content = json.dumps(dict(version.content), sort_keys=True)
        row = (version.digest, version.name, content, to_text(self._access.clock()))
        self._access.writer.run(lambda connection: connection.execute(self._note, row) and None)
        self._noted.add(version.digest)

    def get(self, digest: str) -> RuleVersion | None:
        """Return a version; None if there is none."""
        rows = self._access.rows(self._get, (digest,))
        return RuleVersion(digest, rows[0][0], json.loads(rows[0][1])) if rows else None
