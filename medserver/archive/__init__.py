"""What is stored and what is known of it: the only package that writes store and index.

Start with `ingest` (an instance comes in) and `fetch` (it goes out). `replication` makes further copies.
`header` reads what the index is to know. After a crash `reconcile` brings both sides together, `check` compares them,
`rebuild` makes the index anew from the volumes.
"""

from __future__ import annotations

from medserver.archive.check import check, restart_check
from medserver.archive.copies import Copy, as_stored, sealed_at
from medserver.archive.damage import report_damage
from medserver.archive.fetch import open_data_set, read_header
from medserver.archive.findings import Finding, Problem
from medserver.archive.ingest import Reception, receive
from medserver.archive.read_ahead import ReadAhead
from medserver.archive.rebuild import count_objects, is_rebuilding, rebuild
from medserver.archive.reconcile import Reconciliation, reconcile
from medserver.archive.replication import copy_object, copy_objects

__all__ = [
    "Copy",
    "Finding",
    "Problem",
    "ReadAhead",
    "Reception",
    "Reconciliation",
    "as_stored",
    "check",
    "copy_object",
    "copy_objects",
    "count_objects",
    "is_rebuilding",
    "open_data_set",
    "read_header",
    "rebuild",
    "receive",
    "reconcile",
    "report_damage",
    "restart_check",
    "sealed_at",
]
