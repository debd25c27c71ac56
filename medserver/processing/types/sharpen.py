"""Sharper edges, a frame at a time: an unsharp mask."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from medserver.processing.codes import EDGE_ENHANCEMENT, UNSHARP_MASK
from medserver.processing.pixels.frames import filter_frames
from medserver.processing.pixels.results import Derivation
from medserver.processing.task import Task


def sharpen(task: Task) -> None:
    """Write each image with sharper edges: what a Gaussian takes away is added once more."""
    radius, amount, threshold = (float(task.parameters[name]) for name in ("radius", "amount", "threshold"))

    def sharpened(frame: np.ndarray) -> np.ndarray:
        before = frame.astype(np.float32)
        details = before - ndimage.gaussian_filter(before, radius, mode="nearest")
        if threshold:
            details = np.sign(details) * np.maximum(np.abs(details) - np.float32(threshold), 0)
        return before + np.float32(amount) * details

    what = f"unsharp mask, radius {radius:g} pixels, amount {amount:g}"
    what += f", details above {threshold:g} stored units" if threshold else ""
    derivation = Derivation(
        f"Edge enhancement: {what}", (EDGE_ENHANCEMENT, UNSHARP_MASK), f"sharpened {amount:g}/{radius:g}"
    )
    filter_frames(task, lambda image: sharpened, derivation)
