"""The tables as peewee models, to build queries with.

They are made from `medserver.dicom.attributes`; the tables themselves are made by `migrations`, and a
test compares the two. Models are not bound to a database: SQL is built for the one at hand by
`Backend.database`.
"""

from __future__ import annotations

from collections.abc import Iterable

from peewee import (
    SQL,
    BigAutoField,
    CompositeKey,
    DoubleField,
    Field,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)

from medserver.dicom.attributes import LEVELS
from medserver.index.database.columns import LEVEL_COLUMNS, PARENTS, TABLES


def _model(table: str, fields: dict[str, Field], key: tuple[str, ...] = ()) -> type[Model]:
    options = {"primary_key": CompositeKey(*key)} if key else {}
    meta = type("Meta", (), {"table_name": table, "legacy_table_names": False, **options})
    name = "".join(word.capitalize() for word in table.split("_"))
    return type(name, (Model,), {"__module__": __name__, "Meta": meta, **fields})


def _reference(model: type[Model] | str, name: str, *, null: bool = False) -> ForeignKeyField:
    return ForeignKeyField(model, column_name=name, backref=None, null=null)


def _texts(names: Iterable[str], *, null: bool = False) -> dict[str, Field]:
    return {name: TextField(null=null) for name in names}


def _level_models() -> dict[str, type[Model]]:
    models: dict[str, type[Model]] = {}
    above: type[Model] | None = None
    own: dict[str, dict[str, Field]] = {
        "PATIENT": {"distinction": IntegerField()},
        "STUDY": {},
        "SERIES": {},
        "IMAGE": _texts(("acquisition",), null=True),
    }
    for level in LEVELS:
        fields: dict[str, Field] = {"id": BigAutoField()}
        if above is not None:
            fields[PARENTS[level]] = _reference(above, PARENTS[level])
        fields |= {
            name: DoubleField(null=True) if name.endswith("_order") else TextField(null=True)
            for name in LEVEL_COLUMNS[level]
        }
        above = models[level] = _model(TABLES[level], fields | own[level])
    return models


MODELS = _level_models()
"""Query/Retrieve Level -> model."""

Patients, Studies, Series, Instances = (MODELS[level] for level in LEVELS)

Objects = _model(
    "objects",
    {
        "id": BigAutoField(),
        "instance": _reference(Instances, "instance"),
        "made_from": _reference("self", "made_from", null=True),
        **_texts(("sop_class_uid", "transfer_syntax_uid", "digest", "received_at")),
        **{name: IntegerField() for name in ("is_current", "receipts", "size_bytes")},
        **_texts(("calling_ae_title", "made_how", "pixel_digest"), null=True),
    },
)

CURRENT_OBJECT = (Objects.instance == Instances.id) & (Objects.is_current == SQL("1"))
"""What joins an instance and its current object. The number is in the statement, for the index of that is partial."""

Locations = _model(
    "locations",
    {
        "id": BigAutoField(),
        "object": _reference(Objects, "object"),
        **_texts(("volume", "path", "meta_digest", "state")),
        "data_set_offset": IntegerField(),
        "verified_at": TextField(null=True),
    },
)

Conflicts = _model(
    "conflicts",
    {
        "id": BigAutoField(),
        **_texts(("fingerprint", "kind", "subject", "present", "arrived", "sop_instance_uid", "found_at")),
        "calling_ae_title": TextField(null=True),
    },
)

UnknownCallers = _model(
    "unknown_callers",
    {
        "id": BigAutoField(),
        **_texts(("calling_ae_title", "called_ae_title", "address", "first_seen_at", "last_seen_at")),
        "attempts": IntegerField(),
    },
)

Tombstones = _model(
    "tombstones",
    {
        "id": BigAutoField(),
        **_texts(("sop_instance_uid", "digest", "transfer_syntax_uid", "deleted_at", "deleted_by", "reason")),
        "path": TextField(),
    },
)

Deletions = _model(
    "deletions",
    {
        "object": ForeignKeyField(Objects, column_name="object", backref=None, primary_key=True),
        "receipts": IntegerField(),
    },
)

PerformedSteps = _model(
    "performed_steps",
    {
        "id": BigAutoField(),
        **_texts(("sop_instance_uid", "state", "content", "calling_ae_title", "created_at", "changed_at")),
    },
)

PerformedStepStudies = _model(
    "performed_step_studies",
    _texts(("sop_instance_uid", "study_instance_uid")),
    key=("study_instance_uid", "sop_instance_uid"),
)

PerformedStepSeries = _model(
    "performed_step_series",
    _texts(("sop_instance_uid", "series_instance_uid")),
    key=("series_instance_uid", "sop_instance_uid"),
)

Completions = _model(
    "completions",
    _texts(("study_instance_uid", "evidence", "at")),
    key=("study_instance_uid", "evidence"),
)

Progress = _model("progress", {"name": TextField(primary_key=True), "value": TextField()})

Jobs = _model(
    "jobs",
    {
        "id": BigAutoField(),
        **_texts(("kind", "destination", "order_key", "payload", "state", "due_at", "created_at")),
        **_texts(("lease_until", "owner", "last_error"), null=True),
        **{name: IntegerField() for name in ("priority", "ready", "attempts")},
    },
)

JobKinds = _model("job_kinds", {"kind": TextField(primary_key=True), "paused": IntegerField()})

JobLanes = _model(
    "job_lanes",
    {
        **_texts(("kind", "destination")),
        **_texts(("rests_until", "rest_reason"), null=True),
        **{name: IntegerField() for name in ("paused", "failures")},
    },
    key=("kind", "destination"),
)

JobSchedule = _model("job_schedule", {"name": TextField(primary_key=True), "due_at": TextField()})
