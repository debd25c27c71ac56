"""What is stored and what is known of it: the only package that writes store and index.

Start with `ingest` (an instance comes in) and `fetch` (it goes out). `replication` makes further copies.
`header` reads what the index is to know. After a crash `reconcile` brings both sides together, `check` compares them,
`rebuild` makes the index anew from the volumes.
"""

from __future__ import annotations

from medserver.archive.check import check, interrupted_check, restart_check
from medserver.archive.compression import compress_object
from medserver.archive.copies import Copy, as_stored, sealed_at
from medserver.archive.damage import report_damage
from medserver.archive.fetch import HEADER_DEPTH_MAX, open_data_set, read_header
from medserver.archive.findings import Finding, Problem
from medserver.archive.ingest import Reception, receive
from medserver.archive.marks import Mark
from medserver.archive.read_ahead import ReadAhead
from medserver.archive.rebuild import can_rebuild, count_objects, interrupted_rebuild, rebuild
from medserver.archive.reconcile import Reconciliation, reconcile
from medserver.archive.replication import copy_object, copy_objects
from medserver.archive.request_attributes import REQUEST_ATTRIBUTES_ITEM_KEYWORDS
from medserver.archive.verification import verify

__all__ = [
    "Copy",
    "HEADER_DEPTH_MAX",
    "Finding",
    "Mark",
    "Problem",
    "REQUEST_ATTRIBUTES_ITEM_KEYWORDS",
    "ReadAhead",
    "Reception",
    "Reconciliation",
    "as_stored",
    "can_rebuild",
    "check",
    "compress_object",
    "copy_object",
    "copy_objects",
    "count_objects",
    "interrupted_check",
    "interrupted_rebuild",
    "open_data_set",
    "read_header",
    "rebuild",
    "receive",
    "reconcile",
    "report_damage",
    "restart_check",
    "sealed_at",
    "verify",
]
