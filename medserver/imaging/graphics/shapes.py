"""Curves as lines between many points."""

from __future__ import annotations

import math

Point = tuple[float, float]

_POINTS_OF_ELLIPSE = 256
_POINTS_OF_CURVE = 16


def ellipse(center: Point, major: Point, minor: Point) -> list[Point]:
    """Return an ellipse, closed.

    Parameters
    ----------
    center : tuple of float
        Its center.
    major, minor : tuple of float
        From there to the ends of its axes.
    """
    angles = (2 * math.pi * index / _POINTS_OF_ELLIPSE for index in range(_POINTS_OF_ELLIPSE + 1))
    return [
        (
            center[0] + math.cos(angle) * major[0] + math.sin(angle) * minor[0],
            center[1] + math.cos(angle) * major[1] + math.sin(angle) * minor[1],
        )
        for angle in angles
    ]


def interpolated(points: list[Point]) -> list[Point]:
    """Return a smooth curve through points: a Catmull-Rom spline, closed where the last point is the first.

    How a curve is interpolated is not said by the standard (PS3.3 C.10.5.1.2).
    """
    if len(points) < 3:
        return points
    is_closed = points[0] == points[-1]
    before = points[-2] if is_closed else points[0]
    after = points[1] if is_closed else points[-1]
    control = [before, *points, after]
    curve = [
        _between(*control[index : index + 4], step / _POINTS_OF_CURVE)
        for index in range(len(points) - 1)
        for step in range(_POINTS_OF_CURVE)
    ]
    return [*curve, points[-1]]


def _between(before: Point, start: Point, end: Point, after: Point, share: float) -> Point:
    def coordinate(axis: int) -> float:
        p, q, r, s = before[axis], start[axis], end[axis], after[axis]
        return q + share / 2 * (r - p + share * (2 * p - 5 * q + 4 * r - s + share * (3 * (q - r) + s - p)))

    return coordinate(0), coordinate(1)
