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
        **_texts(("calling_ae_title", "made_how", "pixel_digest", "received_again_at"), null=True),
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
        **_texts(("calling_ae_title", "resolved_at", "resolved_by", "resolution"), null=True),
    },
)

UnknownCallers = _model(
    "unknown_callers",
    {
        "id": BigAutoField(),
        **_texts(("calling_ae_title", "called_ae_title", "address", "fingerprint", "reason")),
        **_texts(("first_seen_at", "last_seen_at")),
        "certificate": TextField(null=True),
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

RemovedCopies = _model(
    "removed_copies",
    {"object": _reference(Objects, "object"), "volume": TextField()},
    key=("object", "volume"),
)

Promotions = _model(
    "promotions",
    {
        "id": BigAutoField(),
        **_texts(("sop_instance_uid", "digest", "transfer_syntax_uid", "decided_at", "decided_by", "reason")),
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

Workitems = _model(
    "workitems",
    {
        "id": BigAutoField(),
        **_texts(("sop_instance_uid", "state", "transaction_digest", "content", "created_by", "performer")),
        **{name: IntegerField() for name in ("revision", "cancel_requested")},
        **_texts(("created_at", "changed_at", "priority", "start_at", "label", "worklist_label")),
        **_texts(("type_code", "type_scheme", "patient_id")),
        "ended_at": TextField(null=True),
    },
)

WorkitemSubscriptions = _model(
    "workitem_subscriptions",
    {**_texts(("sop_instance_uid", "receiver")), "has_lock": IntegerField()},
    key=("sop_instance_uid", "receiver"),
)

WorkitemGlobalSubscriptions = _model(
    "workitem_global_subscriptions",
    {"receiver": TextField(primary_key=True), "has_lock": IntegerField()},
)

Commitments = _model(
    "commitments",
    {
        "id": BigAutoField(),
        **_texts(("role", "transaction_uid", "ae_title", "remote", "fingerprint", "state", "requested_at")),
        **_texts(("claimed_until", "finished_at"), null=True),
        "held": IntegerField(),
    },
)

CommitmentInstances = _model(
    "commitment_instances",
    {
        "commitment": _reference(Commitments, "commitment"),
        "position": IntegerField(),
        **_texts(("sop_class_uid", "sop_instance_uid")),
        "reason": IntegerField(null=True),
    },
    key=("commitment", "position"),
)

Completions = _model(
    "completions",
    _texts(("study_instance_uid", "evidence", "at")),
    key=("study_instance_uid", "evidence"),
)

Volumes = _model(
    "volumes",
    {
        "name": TextField(primary_key=True),
        **_texts(("volume_uuid", "archive_uuid")),
        **{name: IntegerField() for name in ("marked", "detached")},
    },
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
        **_texts(("paused_until", "pause_reason"), null=True),
        **{name: IntegerField() for name in ("paused", "failures")},
    },
    key=("kind", "destination"),
)

RuleVersions = _model(
    "rule_versions",
    {"digest": TextField(primary_key=True), **_texts(("name", "content", "noted_at"))},
)

Delivered = _model(
    "delivered",
    {
        **_texts(("sop_instance_uid", "digest", "destination", "rule", "delivered_at")),
        "is_committed": IntegerField(),
    },
    key=("sop_instance_uid", "digest", "destination"),
)

Derivations = _model(
    "derivations", {"id": BigAutoField(), **_texts(("workitem_uid", "request", "type", "made_at"))}
)

DerivationInstances = _model(
    "derivation_instances",
    {
        "derivation": _reference(Derivations, "derivation"),
        "is_output": IntegerField(),
        **_texts(("sop_instance_uid", "sop_class_uid", "study_instance_uid", "series_instance_uid")),
    },
    key=("derivation", "is_output", "sop_instance_uid"),
)

Films = _model(
    "films",
    {
        "id": BigAutoField(),
        **_texts(
            (
                "uid", "printer", "requested_by", "origin", "label", "priority", "content", "volume", "request_uid",
                "state", "status_info", "detail", "printed_by", "reference", "created_at", "changed_at",
            )
        ),
        "copies": IntegerField(),
        "handovers": IntegerField(),
        "printings": IntegerField(),
        "ended_at": TextField(null=True),
    },
)  # fmt: skip

Accounts = _model(
    "accounts",
    {
        "id": BigAutoField(),
        **_texts(("kind", "name", "roles", "secret", "created_at", "changed_at")),
        "is_disabled": IntegerField(),
        "expires_at": TextField(null=True),
    },
)

_AUDIT_ROW = ("at", "source", "event", "action", "actor", "patient_id", "message")

AuditPending = _model(
    "audit_pending", {"id": BigAutoField(), **_texts(_AUDIT_ROW), "outcome": IntegerField()}
)

AuditTrail = _model(
    "audit_trail",
    {"position": IntegerField(primary_key=True), **_texts((*_AUDIT_ROW, "digest")), "outcome": IntegerField()},
)

AuditChain = _model(
    "audit_chain",
    {
        "id": IntegerField(primary_key=True),
        **{name: IntegerField() for name in ("position", "pruned_position")},
        **_texts(("digest", "pruned_digest")),
        **_texts(("owner", "lease_until"), null=True),
    },
)

AuditRepositories = _model(
    "audit_repositories",
    {
        "name": TextField(primary_key=True),
        **{name: IntegerField() for name in ("sent_position", "confirmed_position")},
        **_texts(("confirmed_at", "problem"), null=True),
    },
)

AuditTransfers = _model(
    "audit_transfers",
    {
        **_texts(("association", "study_instance_uid", "sop_class_uid", "action")),
        "outcome": IntegerField(),
        **_texts(("parties", "patient_id", "patient_name")),
        "count": IntegerField(),
    },
    key=("association", "study_instance_uid", "sop_class_uid", "action", "outcome"),
)

JobSchedule = _model("job_schedule", {"name": TextField(primary_key=True), "due_at": TextField()})

Nodes = _model(
    "nodes",
    {
        "uuid": TextField(primary_key=True),
        **_texts(("name", "machine", "role", "started_at", "heartbeat_at", "serves")),
    },
)

IndexLock = _model(
    "index_lock",
    {
        **{name: IntegerField() for name in ("number", "is_incomplete")},
        "id": IntegerField(primary_key=True),
        **_texts(("work", "owner", "host", "since", "lease_until"), null=True),
    },
)
