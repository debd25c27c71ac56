"""Rendering: from the pixels of an object to what is seen on a screen or on film.

Start with `render`, which takes a data set with native pixels, the number of a frame from 0, and a `Rendering`, and
gives an `Image`: P-values of 8 or 16 bits, or red, green and blue. The steps are those of PS3.4 N.2, one module each:
`pixels` (the cells of a frame), `gray` (modality LUT, VOI LUT, presentation LUT, padding), `colour` (palettes, YBR),
`graphics` (shutters, overlays, annotations), `view` (displayed area, rotation, scale).

Nothing is decoded here: that is `codecs`. What comes from peers is rendered in a worker process: `render_picture` has
it decoded, rendered and written as PNG or JPEG.
What is offered here is imported when it is asked for: it brings numpy and pydicom.
"""

from __future__ import annotations

from medserver.imports import on_demand

_MODULES = {
    "Image": "image",
    "Picture": "pictures",
    "PixelRange": "options",
    "Rendering": "options",
    "StoredLut": "options",
    "StoredWindow": "options",
    "Text": "options",
    "Window": "options",
    "render": "rendering",
    "render_picture": "pictures",
}

__all__ = list(_MODULES)
__getattr__ = on_demand(__name__, _MODULES)
