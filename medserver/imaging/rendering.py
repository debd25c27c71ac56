"""The one function that makes what is seen of an image, and its steps in their order.

References
----------
PS3.4 N.2
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from pydicom.dataset import Dataset

from medserver.errors import CannotRender
from medserver.imaging.colour.palettes import coloured, has_supplemental_palette, palette_of
from medserver.imaging.colour.spaces import to_rgb
from medserver.imaging.extra import need_pillow
from medserver.imaging.functional_groups import functional_group
from medserver.imaging.graphics.layers import WHITE, Layer, draw, layers_of
from medserver.imaging.graphics.orientation import edges_of
from medserver.imaging.graphics.overlays import activated_groups, activated_plane, overlay_mask
from medserver.imaging.graphics.shutters import shutter_gray, shutter_mask
from medserver.imaging.gray.pipeline import render_grays
from medserver.imaging.image import Image
from medserver.imaging.options import Rendering
from medserver.imaging.pixels import Frame, read_frame
from medserver.imaging.presentation_states import applicable_items, check_state
from medserver.imaging.values import text
from medserver.imaging.view import View, pixel_aspect_ratio, view_of

_GRAY = ("MONOCHROME1", "MONOCHROME2", "")


def render(dataset: Dataset, frame_index: int = 0, options: Rendering | None = None) -> Image:
    """Render a frame: what is seen of it, as P-values or as RGB.

    Parameters
    ----------
    dataset : Dataset
        An image with native pixels. Compressed ones are decoded first, with `codecs.transcode`.
    frame_index : int
        From 0.
    options : Rendering, optional
        What is asked for; by default, the image as it says itself.

    Raises
    ------
    CannotRender
        The object has no such frame, its attributes contradict each other, or it is not what the presentation state
        is for.
    """
    options = options or Rendering()
    if options.presentation_state is not None:
        check_state(options.presentation_state, dataset, frame_index)
    frame = read_frame(dataset, frame_index)
    pixels = _pixels(dataset, frame_index, frame, options)
    if options.shutters:
        _hide(pixels, dataset, frame_index, frame, options)
    view = view_of(dataset, frame_index, pixels.shape, options)
    shown = view.apply(pixels, options.interpolation)
    if not shown.flags.writeable:
        shown = shown.copy()
    _draw_layers(shown, dataset, frame_index, frame, view, options)
    _write(shown, dataset, frame_index, view, options)
    return Image(shown)


def _pixels(dataset: Dataset, frame_index: int, frame: Frame, options: Rendering) -> np.ndarray:
    """Return the pixels of the whole frame, after all transformations of their values."""
    photometric_interpretation = text(dataset, "PhotometricInterpretation")
    if frame.cells.ndim == 3:
        bits_stored = int(frame.high - frame.low + 1).bit_length() - 1
        if frame.low < 0:
            raise CannotRender("the samples of the colours are signed")
        rgb = to_rgb(frame.cells, photometric_interpretation, bits_stored, options.bits)
        return _reversed(rgb) if options.is_inverted else np.array(rgb)
    if photometric_interpretation == "PALETTE COLOR":
        rgb = palette_of(dataset, frame.low < 0, options.bits).map(frame.cells)
        return _reversed(rgb) if options.is_inverted else rgb
    if photometric_interpretation not in _GRAY:
        raise CannotRender(
            f"Photometric Interpretation is {photometric_interpretation[:20]!r}, and there is one sample per pixel"
        )
    grays = render_grays(dataset, frame_index, frame, options).pixels
    if options.presentation_state is None and has_supplemental_palette(dataset):
        return coloured(grays, palette_of(dataset, frame.low < 0, options.bits), frame)
    return grays


def _reversed(rgb: np.ndarray) -> np.ndarray:
    return np.iinfo(rgb.dtype).max - rgb


def _hide(pixels: np.ndarray, dataset: Dataset, frame_index: int, frame: Frame, options: Rendering) -> None:
    """Draw the shutters of the presentation state, or of the image."""
    source = options.presentation_state
    if source is None:
        source = functional_group(dataset, frame_index, "FrameDisplayShutterSequence")
    hidden = shutter_mask(source, dataset, frame_index, frame, pixel_aspect_ratio(dataset, frame_index))
    if hidden is not None:
        draw(pixels, hidden, shutter_gray(source))


def _draw_layers(
    shown: np.ndarray, dataset: Dataset, frame_index: int, frame: Frame, view: View, options: Rendering
) -> None:
    """Draw overlays and annotations, layer by layer."""
    state = options.presentation_state
    if state is None:
        mask = overlay_mask(dataset, frame_index, frame) if options.overlays else None
        if mask is not None:
            draw(shown, _shown_mask(mask, view, options), WHITE)
        return
    layers = layers_of(state)
    drawn: list[tuple[Layer, Callable[[], np.ndarray | None]]] = []
    for group, name in activated_groups(state) if options.overlays else ():
        cover = partial(_overlay, dataset, group, frame_index, frame, view, options)
        drawn.append((layers.get(name, Layer(name)), cover))
    for item in _annotations(dataset, frame_index, options):
        from medserver.imaging.graphics.annotations import annotation_coverage  # which needs Pillow

        name = text(item, "GraphicLayer")
        drawn.append((layers.get(name, Layer(name)), partial(annotation_coverage, item, view)))
    for layer, cover in sorted(drawn, key=lambda each: each[0].order):
        coverage = cover()
        if coverage is not None:
            draw(shown, coverage, layer.gray)


def _overlay(
    dataset: Dataset, group: int, frame_index: int, frame: Frame, view: View, options: Rendering
) -> np.ndarray | None:
    """Return how much of each pixel that is shown an overlay of a presentation state covers."""
    plane = activated_plane(options.presentation_state, dataset, group, frame_index, frame)
    return None if plane is None else _shown_mask(plane, view, options)


def _annotations(dataset: Dataset, frame_index: int, options: Rendering) -> tuple[Dataset, ...]:
    """Return the items of the Graphic Annotation Sequence that are for a frame."""
    if not options.annotations:
        return ()
    found = applicable_items(options.presentation_state, "GraphicAnnotationSequence", dataset, frame_index)
    if found:
        need_pillow("drawing of annotations")
    return found


def _shown_mask(mask: np.ndarray, view: View, options: Rendering) -> np.ndarray:
    """Return how much of each pixel that is shown a mask of the image covers, 0 to 255."""
    return view.apply(mask.astype(np.uint8) * 255, options.interpolation)


def _write(shown: np.ndarray, dataset: Dataset, frame_index: int, view: View, options: Rendering) -> None:
    """Write the texts and letters that are asked for."""
    edges = edges_of(dataset, frame_index, view) if options.markers else None
    if edges is None and not options.texts:
        return
    need_pillow("writing over an image")
    from medserver.imaging.graphics.corners import draw_corners, draw_markers

    if edges is not None:
        draw_markers(shown, edges)
    draw_corners(shown, options.texts)
