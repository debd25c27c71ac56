"""One volume laid over another one of the same patient, by a rigid motion: SimpleITK finds it.

References
----------
D. Mattes et al., "PET-CT image registration in the chest using free-form deformations", IEEE TMI 22 (2003)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from medserver.errors import IncompleteObjectSet, MixedObjectSet, TooLargeToProcess, UnusableParameters
from medserver.processing.codes import DEFORMED_FOR_REGISTRATION, SPATIAL_RESAMPLING
from medserver.processing.pixels.geometry import Stack, stack_of
from medserver.processing.pixels.images import Source, integer_of
from medserver.processing.pixels.planes import Cut, header_of, place
from medserver.processing.pixels.results import Derivation, derived_series, numbered
from medserver.processing.pixels.volume import VOXELS_MAX, Planes, Series, Volume, read_series
from medserver.processing.task import Task

_SHRINK, _SMOOTH_MM, _ITERATIONS = (4, 2, 1), (4.0, 2.0, 0.0), 200
_BINS, _SAMPLED, _SEED = 50, 0.2, 1700
_BEFORE = 0.9
"""What part of the time passes before the first slice is written."""

_READ, _FOUND = 0.1, 0.9
"""What part of that has passed when the slices are read, and when the motion is found."""


def register(task: Task) -> None:
    """Write the moving series in the places of the fixed one, in its Frame of Reference."""
    fixed, moving = _stacks(task)
    numbers = task.numbers(fixed.shape[0], before=_BEFORE)
    fixed_series, moving_series = (read_series(stack, task.outputs) for stack in (fixed, moving))
    fixed_image = _image_of(fixed, fixed_series, task)
    moving_image = _image_of(moving, moving_series, task)
    task.prepared(_READ)
    transform, what = find_motion(
        fixed_image, moving_image, lambda fraction: task.prepared(_READ + (_FOUND - _READ) * fraction)
    )
    task.prepared(_FOUND)
    values = _resampled(moving_image, fixed_image, transform, moving_series.fill)
    task.prepared(1)
    planes = Planes(fixed.origin, fixed.axes, fixed.spacing, fixed.shape)
    cut = Cut(planes, (0.0,), float(fixed.spacing[0]))
    description = f"Rigid registration to series {fixed.sources[0].series_instance_uid}: {what}"
    derivation = Derivation(description, (SPATIAL_RESAMPLING, DEFORMED_FOR_REGISTRATION), "registered")
    header = header_of(task, fixed, moving_series, cut, "REGISTERED")
    common = derived_series(task, header, derivation, moving.sources)
    for number in numbers:
        dataset = numbered(task, common, number)
        place(dataset, cut, number)
        task.write(number, dataset, moving_series.stored(values[number - 1]))


def find_motion(
    fixed: Any, moving: Any, reached: Callable[[float], None] = lambda fraction: None
) -> tuple[Any, str]:
    """Return the rigid transform from places of the fixed image to those of the moving one, and what it is in words.

    Parameters
    ----------
    fixed, moving : SimpleITK.Image
        Of float32.
    reached : callable
        Is told how much is done, 0 to 1, as if the most iterations were needed at each resolution.
    """
    import SimpleITK as itk

    itk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums come out the same in each run
    begin = itk.CenteredTransformInitializer(
        fixed, moving, itk.Euler3DTransform(), itk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method = itk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLED, _SEED)
    method.SetInterpolator(itk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, _ITERATIONS, 0.5, 1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    smallest = min(fixed.GetSize())
    levels = [level for level, shrink in enumerate(_SHRINK) if smallest // shrink >= 8 or shrink == 1]
    method.SetShrinkFactorsPerLevel([_SHRINK[level] for level in levels])
    method.SetSmoothingSigmasPerLevel([_SMOOTH_MM[level] for level in levels])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(begin, inPlace=False)
    shrinks = [_SHRINK[level] for level in levels]
    method.AddCommand(
        itk.sitkIterationEvent,
        lambda: reached(_part_of(shrinks, method.GetCurrentLevel(), method.GetOptimizerIteration())),
    )
    found = itk.Euler3DTransform(itk.CompositeTransform(method.Execute(fixed, moving)).GetNthTransform(0))
    angles = found.GetAngleX(), found.GetAngleY(), found.GetAngleZ()
    turned = ", ".join(f"{np.degrees(angle):.2f}" for angle in angles)
    moved = ", ".join(f"{one:.2f}" for one in found.GetTranslation())
    return found, f"turned by {turned} degrees, moved by {moved} mm"


def _part_of(shrinks: Sequence[int], level: int, iterations: int) -> float:
    """Return how much of the search is done: the time of an iteration goes with the number of voxels."""
    times = [shrink**-3 for shrink in shrinks]
    done = sum(times[:level]) + times[level] * min(iterations / _ITERATIONS, 1)
    return done / sum(times)


def _stacks(task: Task) -> tuple[Stack, Stack]:
    """Return the fixed and the moving stack.

    Raises
    ------
    IncompleteObjectSet, MixedObjectSet, UnusableParameters
        There are no two series, of which one is the fixed one.
    TooLargeToProcess
        They do not fit in memory.
    """
    series: dict[str, list[Source]] = {}
    for source in task.sources:
        if not source.is_localizer:
            series.setdefault(source.series_instance_uid, []).append(source)
    if len(series) != 2:
        raise (IncompleteObjectSet if len(series) < 2 else MixedObjectSet)(
            f"two series are registered, and there are {len(series)}"
        )
    first = min(series, key=lambda uid: (integer_of(series[uid][0].facts, "SeriesNumber", 0), uid))
    fixed_uid = str(task.parameters.get("fixed", first))
    if fixed_uid not in series:
        raise UnusableParameters(f"the fixed series {fixed_uid} is none of the two")
    fixed = stack_of(series.pop(fixed_uid))
    moving = stack_of(next(iter(series.values())))
    voxels = sum(int(np.prod(stack.shape)) for stack in (fixed, moving))
    if 4 * voxels > VOXELS_MAX:  # in float32, with copies on the way
        raise TooLargeToProcess(f"the two series have {voxels} voxels, more than {VOXELS_MAX // 4}")
    return fixed, moving


def _image_of(stack: Stack, series: Series, task: Task) -> Any:
    import SimpleITK as itk

    voxels = Volume(stack, series, (0, 0, 0), stack.shape, task.outputs).voxels
    image = itk.GetImageFromArray(voxels.astype(np.float32))
    image.SetOrigin(_floats(stack.origin))
    image.SetSpacing(_floats(stack.spacing[::-1]))
    image.SetDirection(_floats(stack.axes[::-1].T.ravel()))
    return image


def _resampled(moving: Any, fixed: Any, transform: Any, fill: float) -> np.ndarray:
    import SimpleITK as itk

    return itk.GetArrayFromImage(itk.Resample(moving, fixed, transform, itk.sitkLinear, float(fill), itk.sitkFloat32))


def _floats(values: Sequence[float] | np.ndarray) -> list[float]:
    return [float(value) for value in values]
