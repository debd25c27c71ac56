"""Under which conditions images were acquired: exposure, sequence, dose and so on.

Start with `reading` (what a header tells), then `indexing` (how it comes into the index), `series` (put together for
people) and `comparing` (with what was defined, and what is usual). Which attributes they are, and their units, stands
in `medserver.dicom.acquisition`.
"""

from __future__ import annotations

from medserver.conditions.comparing import Findings, compare_instances
from medserver.conditions.outliers import Outlier, find_outliers, series_of_protocol
from medserver.conditions.series import SeriesConditions, Value, read_conditions

__all__ = [
    "Findings", "Outlier", "SeriesConditions", "Value", "compare_instances", "find_outliers", "read_conditions",
    "series_of_protocol",
]  # fmt: skip
