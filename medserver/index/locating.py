"""Reading where instances lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import Node

from medserver.index.models import Instances, Locations, Studies
from medserver.index.records import StoredInstance

LOCATION_COLUMNS: tuple[Node, ...] = (
    Instances.sop_instance_uid,
    Instances.sop_class_uid,
    Instances.transfer_syntax_uid,
    Locations.volume,
    Locations.path,
    Locations.data_set_offset,
    Instances.size_bytes,
    Instances.digest,
    Locations.meta_digest,
    Studies.study_instance_uid,
)
"""The columns of a `StoredInstance`, of a query that joins instances, their locations and studies."""


def located(row: Sequence[Any]) -> StoredInstance:
    """Make a `StoredInstance` from the values of `LOCATION_COLUMNS`."""
    return StoredInstance(*row)
