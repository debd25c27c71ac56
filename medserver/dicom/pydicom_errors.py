"""What pydicom raises on bytes that are not the data set that they claim to be."""

from __future__ import annotations

import struct

from pydicom.errors import BytesLengthException, InvalidDicomError

PYDICOM_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    struct.error,
    TypeError,
    ValueError,
)
"""There is no narrower promise; only calls of pydicom on a peer's bytes are guarded with it."""
