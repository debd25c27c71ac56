"""What is stored and what is known of it: the only package that writes store and index.

Start with `ingest` (an instance comes in) and `fetch` (it goes out; some frames of it: `frames`). `replication` makes
further copies. `header` reads what the index is to know. After a crash `reconciling` brings both sides together,
`checking` compares them, `rebuilding` makes the index anew from the volumes. `promotion` has a person decide between
objects, `decisions` notes that on the volumes.

What is offered here is imported when it is asked for: what reads data sets brings pydicom, and what sends them
pynetdicom, which a look into the index does without.
"""

from __future__ import annotations

from medserver.imports import on_demand

_MODULES = {
    "Copy": "copies",
    "Difference": "comparison",
    "HEADER_DEPTH_MAX": "fetch",
    "ExtractedFrames": "frames",
    "Finding": "findings",
    "HeldFile": "ingest",
    "Mark": "marks",
    "PixelCheck": "findings",
    "PixelState": "findings",
    "Problem": "findings",
    "REQUEST_ATTRIBUTES_ITEM_KEYWORDS": "request_attributes",
    "ReadAhead": "read_ahead",
    "Reception": "ingest",
    "Reconciliation": "reconciling",
    "adopt": "adoption",
    "as_stored": "copies",
    "can_rebuild": "rebuilding",
    "check": "checking",
    "compare_link": "links",
    "compress_object": "compression",
    "copy_object": "replication",
    "copy_objects": "replication",
    "count_objects": "rebuilding",
    "differences": "comparison",
    "extract_frames": "frames",
    "interrupted_check": "checking",
    "interrupted_rebuild": "rebuilding",
    "link_object": "links",
    "open_data_set": "fetch",
    "open_parts": "fetch",
    "promote": "promotion",
    "read_header": "fetch",
    "rebuild": "rebuilding",
    "receive": "ingest",
    "reconcile": "reconciling",
    "record_of_file": "adoption",
    "remove_left_form": "compression",
    "remove_surplus": "surplus",
    "report_damage": "damage",
    "restart_check": "checking",
    "resolve_conflict": "decisions",
    "retire_original": "retirement",
    "scan_header": "fetch",
    "sealed_at": "copies",
    "take_back_original": "retirement",
    "verify": "verification",
    "verify_pixels": "pixels",
}

__all__ = list(_MODULES)
__getattr__ = on_demand(__name__, _MODULES)
