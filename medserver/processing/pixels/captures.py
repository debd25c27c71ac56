"""Secondary captures: pictures of what is seen, in the study of their source (PS3.3 A.8.1)."""

from __future__ import annotations

import numpy as np
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from medserver.imaging.options import Rendering
from medserver.imaging.rendering import render
from medserver.processing.pixels.images import Image, text_of
from medserver.processing.pixels.results import note_lossy_compression

SECONDARY_CAPTURE_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.7"

_PATIENT_GROUPS = (0x0010, 0x0012)
"""The patient, with the modules of patient study and clinical trial."""

_KEPT = frozenset(
    int(tag_for_keyword(keyword) or 0)
    for keyword in """
        SpecificCharacterSet TimezoneOffsetFromUTC StudyDate StudyTime ContentDate ContentTime AccessionNumber
        IssuerOfAccessionNumberSequence Modality ReferringPhysicianName ReferringPhysicianIdentificationSequence
        StudyDescription ProcedureCodeSequence PhysiciansOfRecord NameOfPhysiciansReadingStudy
        ReasonForVisit AdmittingDiagnosesDescription ReferencedStudySequence StudyInstanceUID StudyID
        SeriesInstanceUID SeriesNumber SeriesDescription RequestAttributesSequence ProtocolName OperatorsName
        BodyPartExamined Laterality AnatomicRegionSequence
        Manufacturer InstitutionName InstitutionAddress StationName InstitutionalDepartmentName
        ManufacturerModelName DeviceSerialNumber SoftwareVersions DeviceUID
        ContributingEquipmentSequence OriginalAttributesSequence
        DerivationDescription DerivationCodeSequence
        BurnedInAnnotation RecognizableVisualFeatures LossyImageCompression LossyImageCompressionRatio
        LossyImageCompressionMethod PatientIdentityRemoved DeidentificationMethod DeidentificationMethodCodeSequence
        LongitudinalTemporalInformationModified
    """.split()
)
"""What else a picture says as its source did."""


def capture_header(image: Image) -> Dataset:
    """Return what a picture says as its source does: patient, study, equipment, loss."""
    note_lossy_compression(image.dataset, image)
    kept = [tag for tag in image.dataset.keys() if tag in _KEPT or (tag.group in _PATIENT_GROUPS)]
    dataset = Dataset({tag: image.dataset.get_item(tag) for tag in kept})
    dataset.set_original_encoding(*image.dataset.original_encoding, image.dataset.original_character_set)
    dataset.SOPClassUID = SECONDARY_CAPTURE_IMAGE_STORAGE
    dataset.ConversionType = "WSD"  # PS3.3 C.8.6.1: made by a workstation
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = ""
    if not text_of(dataset, "BodyPartExamined") and "Laterality" not in dataset:
        dataset.Laterality = ""  # PS3.3 C.7.3.1: not known; enhanced objects say it of each frame
    return dataset


def picture_of(image: Image, frame_index: int, rendering: Rendering) -> np.ndarray:
    """Return what is seen of a frame.

    Returns
    -------
    ndarray, shape (rows, columns) or (rows, columns, 3) for red, green and blue; uint8

    Raises
    ------
    CannotRender
        It cannot be shown.
    """
    return render(image.with_pixels(), frame_index, rendering).pixels


def describe_picture(dataset: Dataset, picture: np.ndarray, *, is_annotated: bool) -> None:
    """Say what the pixels of a picture are, and whether anything is written in them."""
    colours = picture.ndim == 3
    dataset.SamplesPerPixel = 3 if colours else 1
    dataset.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
    if colours:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = picture.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    if is_annotated or text_of(dataset, "BurnedInAnnotation") == "YES":
        dataset.BurnedInAnnotation = "YES"
