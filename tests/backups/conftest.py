"""A node with a primary volume and a replica, once on SQLite and once on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from medserver.node import Node
from medserver.work.runner import Runner
from tests.archive.conftest import open_archive  # noqa: F401 - a fixture
from tests.safekeeping.conftest import quick, run_all  # noqa: F401 - a fixture

OpenNode = Callable[..., Node]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of the index of the node."""
    if request.param == "sqlite":
        return "sqlite:///index.db"
    return request.getfixturevalue("new_database")()


@pytest.fixture
def open_node(open_archive, clock, database_url, tmp_path: Path) -> OpenNode:  # noqa: F811
    """Give a function that opens the node; again and again it is the same index and the same volumes."""

    def opened(*overrides: str, **arguments: object) -> Node:
        options = [f"index.url={database_url}", "volume main.path=store", "volume main.role=primary"]
        options += [f"volume near.path={tmp_path / 'near'}", "volume near.role=replica"]
        options += [f"volume {name}.free_min_bytes=0" for name in ("main", "near")]
        return open_archive(*options, *overrides, clock=clock, **arguments)

    return opened


@pytest.fixture
def node(open_node) -> Node:
    return open_node()


def work(node: Node) -> None:
    """Do all jobs that are due, as a worker would."""
    run_all(Runner(node, periodic=()))


def rows(node: Node) -> dict[str, list[tuple]]:
    """Return what the index holds, but for the numbers of rows and when copies were verified."""
    backend = node.index.backend
    connection = backend.connect()
    try:
        return {name: sorted(connection.execute(statement).fetchall()) for name, statement in ROWS.items()}
    finally:
        connection.close()


ROWS = {
    "patients": "SELECT patient_id, patient_name FROM patients",
    "studies": "SELECT study_instance_uid, study_date, accession_number FROM studies",
    "series": "SELECT series_instance_uid, modality FROM series",
    "instances": "SELECT sop_instance_uid, sop_class_uid, rows FROM instances",
    "objects": "SELECT sop_instance_uid, objects.sop_class_uid, transfer_syntax_uid, digest, size_bytes, received_at, "
    "is_current FROM objects JOIN instances ON instances.id = objects.instance",
    "locations": "SELECT volume, path, data_set_offset, meta_digest, state FROM locations",
}
