"""The same volume with other voxels: cubes, or slices and pixels as far apart as is asked for."""

from __future__ import annotations

from medserver.processing.codes import SPATIAL_RESAMPLING
from medserver.processing.pixels.geometry import stack_of
from medserver.processing.pixels.planes import Cut, write_planes
from medserver.processing.pixels.results import Derivation
from medserver.processing.pixels.volume import planes_through
from medserver.processing.task import Task


def resample(task: Task) -> None:
    """Write slices parallel to those that were there; only those that are wanted are computed."""
    stack = stack_of(task.sources)
    spacing = float(task.parameters.get("spacing") or stack.spacing.min())
    interval = float(task.parameters.get("interval") or spacing)
    planes = planes_through(stack, stack.axes, (interval, spacing, spacing))
    cut = Cut(planes, (0.0,), float(max(stack.spacing[0], interval)))
    voxels = " x ".join(f"{one:.4g}" for one in (spacing, spacing, interval))
    derivation = Derivation(f"Spatial resampling: voxels of {voxels} mm", (SPATIAL_RESAMPLING,), f"voxels {voxels} mm")
    write_planes(task, stack, cut, derivation, "RESAMPLED")
