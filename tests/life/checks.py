"""What must hold in the end, whatever has happened: the model, the volumes, a rebuilt index, and what comes after."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw

from medserver import archive
from medserver.archive import Finding, Problem
from medserver.archive.reconciling import Reconciliation
from tests.archive.test_rebuild import NOT_COMPARED, TABLES_NOT_COMPARED
from tests.life.events import EVENTS
from tests.life.life import BETWEEN_S, Life
from tests.life.model import Model

_Dump = dict[str, list[str]]

DAMAGE = ("lose", "damage")
_TABLES_NOT_COMPARED = TABLES_NOT_COMPARED | {"job_kinds", "job_lanes", "jobs"}


def play(life: Life, model: Model, *events: str, is_repeated: bool = False) -> None:
    """Let things happen, and see that each sender is answered as he should be."""
    for event in events:
        expected = (*model.expected_outcomes(event), *(["same"] if is_repeated and event.startswith("receive") else []))
        outcome = EVENTS[event](life)
        assert outcome in expected, f"{event}: {outcome}, and not {expected}"
        if event in DAMAGE:
            model.after_damage(life.files(known=True))
        model.after(event, outcome, is_repeated=is_repeated)
        life.clock.advance(BETWEEN_S)
        assert model.must <= life.stored(), f"after {event}: {life.stored()}"


def play_to_the_end(life: Life, model: Model, *events: str) -> None:
    """Play events, let all be done that follows, and check."""
    play(life, model, *events)
    finish(life, model)
    check(life, model)
    play(life, model, "receive")
    finish(life, model)
    check(life, model)


def finish(life: Life, model: Model) -> None:
    """Let all be done that is to be done, and read every copy as is done every month."""
    for _ in range(2):
        life.run()
        life.verify()
        life.seek()
        EVENTS["start"](life)
    life.run()
    model.after("jobs")


def check(life: Life, model: Model) -> None:
    """Check what must hold at any time when nothing is left to be done."""
    assert life.stored() >= model.must and life.has_bystander()
    current = life.current()
    if model.current in model.must:
        assert current is not None and life.content_of(current) == model.current
    _check_files(life, model)
    if not model.excused:
        _check_start(life)
        _check_rebuilt(life, model)


def _check_files(life: Life, model: Model) -> None:
    contents = {file.content for file in life.files()}
    assert not contents & model.gone, f"files are left of what was deleted: {list(life.files())}"
    findings = [finding for finding in archive.check(life.node, digests=True) if not _is_removed(life, finding)]
    if not model.excused:
        assert findings == [], list(map(str, findings))


def _is_removed(life: Life, finding: Finding) -> bool:
    """Remove what nobody needs, as `medserver index check --remove-surplus` does."""
    if finding.problem != Problem.SURPLUS:
        return False
    return archive.remove_surplus(life.node, life.node.volumes[finding.volume], finding.path)


def _check_start(life: Life) -> None:
    before = None if life.index_path is None else dump(life.index_path)
    assert archive.reconcile(life.node) == Reconciliation()
    if before is not None:
        assert dump(life.index_path) == before


def _check_rebuilt(life: Life, model: Model) -> None:
    """An index that is made anew equals the old one, row by row."""
    if life.index_path is None:
        return
    with closing(life.rebuilt()) as rebuilt:
        assert list(archive.rebuild(rebuilt)) == []
        assert life.stored_in(rebuilt) >= model.must
    new, old = dump(life.folder / "new.db"), dump(life.index_path)
    for table in old:
        assert model.has_lost or new[table] == old[table], f"{table}: {new[table]} != {old[table]}"


def dump(path: Path) -> _Dump:
    """Return the rows of every table of an index, without their numbers; others of this process may have it open."""
    connection = apsw.Connection(str(path))  # the same library: another one would take its locks away
    try:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        names = [name for (name,) in tables if name not in _TABLES_NOT_COMPARED and not name.startswith("huey")]
        return {name: sorted(_rows(connection, name)) for name in names}
    finally:
        connection.close()


def _rows(connection: apsw.Connection, table: str) -> list[str]:
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    compared = [name for name in columns if name not in NOT_COMPARED]
    listed = ", ".join(f'"{name}"' for name in compared)
    rows = connection.execute(f'SELECT {listed} FROM "{table}"').fetchall() if compared else []
    return [str(dict(zip(compared, row, strict=True))) for row in rows]
