"""Coded concepts (PS3.3 8.8) that requests, results and refusals of processing have."""

from __future__ import annotations

from dataclasses import dataclass

from medserver.dicom.contributing_equipment import CODING_SCHEME


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept.

    Parameters
    ----------
    value : str
        Code Value, at most 16 characters.
    scheme : str
        Coding Scheme Designator.
    meaning : str
        Code Meaning, at most 64 characters.
    """

    value: str
    scheme: str
    meaning: str


# PS3.16 CID 7203
LOSSY_COMPRESSION = Code("113040", "DCM", "Lossy Compression")
PIXEL_MEAN = Code("113049", "DCM", "Pixel by pixel mean")
PIXEL_SUBTRACTION = Code("113062", "DCM", "Pixel by pixel subtraction")
MULTIPLANAR_REFORMATTING = Code("113072", "DCM", "Multiplanar reformatting")
SEGMENTATION = Code("113076", "DCM", "Segmentation")
MAXIMUM_INTENSITY_PROJECTION = Code("113078", "DCM", "Maximum intensity projection")
MINIMUM_INTENSITY_PROJECTION = Code("113079", "DCM", "Minimum intensity projection")
DEFORMED_FOR_REGISTRATION = Code("125027", "DCM", "Deformed for Registration")
SPATIAL_RESAMPLING = Code("113085", "DCM", "Spatial resampling")
EDGE_ENHANCEMENT = Code("113086", "DCM", "Edge enhancement")
SMOOTHING = Code("113087", "DCM", "Smoothing")
GAUSSIAN_BLUR = Code("113088", "DCM", "Gaussian blur")
UNSHARP_MASK = Code("113089", "DCM", "Unsharp mask")
DIFFUSION_IMAGE_ANALYSIS = Code("129105", "DCM", "Diffusion image analysis")

CONTRAST_ENHANCEMENT = Code("CONTRAST", CODING_SCHEME, "Contrast enhancement")  # CID 7203 is extensible, and has none

# PS3.16 CID 7202
MASK_IMAGE = Code("121321", "DCM", "Mask image for image processing operation")
SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")
SOURCE_OF_MONTAGE = Code("121329", "DCM", "Source image for montage")

# PS3.16 CID 7005
ACQUISITION_EQUIPMENT = Code("109101", "DCM", "Acquisition Equipment")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
CONVERSION_EQUIPMENT = Code("109106", "DCM", "Enhanced Multi-frame Conversion Equipment")
