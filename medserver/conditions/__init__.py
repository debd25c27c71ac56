"""Under which conditions images were acquired: exposure, sequence, dose and so on.

Start with `reading` (what a header tells), then `indexing` (how it comes into the index) and `series` (put together for
people). Which attributes they are, and their units, stands in `medserver.dicom.acquisition`.
"""

from __future__ import annotations

from medserver.conditions.series import SeriesConditions, Value, read_conditions

__all__ = ["SeriesConditions", "Value", "read_conditions"]
