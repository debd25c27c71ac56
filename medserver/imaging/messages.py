"""A `Rendering` as JSON, for worker processes; its presentation state goes there as a file."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

from medserver.imaging.options import PixelRange, Rendering, StoredLut, StoredWindow, Text, Window

_VOI = {kind.__name__: kind for kind in (Window, StoredWindow, StoredLut, PixelRange)}


def as_json(options: Rendering) -> dict[str, Any]:
    """Return what JSON can hold of what is asked for: all but the presentation state."""
    values = {
        field.name: getattr(options, field.name) for field in fields(options) if field.name != "presentation_state"
    }
    if options.voi is not None:
        values["voi"] = [type(options.voi).__name__, asdict(options.voi)]
    return values | {"texts": [asdict(each) for each in options.texts]}


def from_json(values: dict[str, Any], presentation_state: Any = None) -> Rendering:
    """Return what `as_json` was given, with a presentation state."""
    voi, size = values["voi"], values["size"]
    texts = tuple(Text(each["corner"], tuple(each["lines"])) for each in values["texts"])
    return Rendering(
        **values
        | {
            "voi": None if voi is None else _VOI[voi[0]](**voi[1]),
            "size": None if size is None else tuple(size),
            "texts": texts,
            "presentation_state": presentation_state,
        }
    )
