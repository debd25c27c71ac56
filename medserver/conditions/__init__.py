"""Under which conditions an image was acquired: read from the header of what is stored."""

from __future__ import annotations

from medserver.conditions.reading import SeriesConditions, Value, read_conditions

__all__ = ["SeriesConditions", "Value", "read_conditions"]
