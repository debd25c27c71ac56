"""Colours as sRGB, which is what a page is written in."""

from __future__ import annotations

import io

import numpy as np

NOT_CONVERTED = "in colours as they came: its ICC profile cannot be used"


def to_srgb(pixels: np.ndarray, icc_profile: bytes) -> tuple[np.ndarray, str]:
    """Return colours in sRGB.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns, 3), uint8
        Red, green and blue.
    icc_profile : bytes
        The ICC Input Profile that says what they are; empty: sRGB.

    Returns
    -------
    (ndarray, str)
        The colours, and a remark if the profile cannot be used, else an empty text.

    References
    ----------
    PS3.3 C.11.15
    """
    if not icc_profile:
        return pixels, ""
    from PIL import Image, ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        converted = ImageCms.profileToProfile(
            Image.fromarray(np.ascontiguousarray(pixels)),
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.PERCEPTUAL,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return pixels, NOT_CONVERTED
    assert converted is not None
    return np.asarray(converted), ""
