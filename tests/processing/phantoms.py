"""Images with known values, whole enough for a conformance checker, and such that lack or contradict something."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"

CT, MR, PT = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "4", "128"))
CR, DX, MG = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("1", "1.1", "1.2"))
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
UID = "2.25.1700"


def common(sop_class_uid: str, modality: str, number: int = 1, series: int = 1) -> Dataset:
    """Return patient, study, series and equipment of an instance."""
    one = Dataset()
    one.SpecificCharacterSet = "ISO_IR 100"
    one.SOPClassUID, one.SOPInstanceUID = sop_class_uid, f"{UID}.{series}.{number}"
    one.StudyDate, one.StudyTime, one.AccessionNumber = "20260102", "030405", "A1"
    one.ContentDate, one.ContentTime = "20260102", "030500"
    one.AcquisitionDate, one.AcquisitionTime = "20260102", "030500"
    one.Modality, one.Manufacturer, one.InstitutionName = modality, "Ünique Scanners", "Krankenhaus Süd"
    one.ManufacturerModelName, one.DeviceSerialNumber, one.SoftwareVersions = "U1", "12345", "3.4"
    one.StationName = "CT1"
    one.ReferringPhysicianName = "House^Gregory"
    one.StudyDescription, one.SeriesDescription = "Abdömen", f"Series {series}"
    one.PatientName, one.PatientID, one.PatientBirthDate, one.PatientSex = "Müller^Jörg", "P1", "19500101", "M"
    one.StudyInstanceUID, one.SeriesInstanceUID = f"{UID}.0", f"{UID}.{series}"
    one.StudyID, one.SeriesNumber, one.InstanceNumber, one.AcquisitionNumber = "S1", series, number, 1
    one.BodyPartExamined = "ABDOMEN"
    one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    return one


def with_pixels(one: Dataset, pixels: np.ndarray, bits_stored: int = 0, interpretation: str = "MONOCHROME2") -> Dataset:
    """Give an instance pixels: shape (rows, columns), (frames, rows, columns) or (rows, columns, 3) for RGB."""
    colours = interpretation in ("RGB", "YBR_FULL")
    one.SamplesPerPixel, one.PhotometricInterpretation = 3 if colours else 1, interpretation
    shape = pixels.shape[:-1] if colours else pixels.shape
    if len(shape) == 3:
        one.NumberOfFrames = shape[0]
    one.Rows, one.Columns = shape[-2:]
    if colours:
        one.PlanarConfiguration = 0
    bits = 8 * pixels.itemsize
    one.BitsAllocated, one.BitsStored = bits, bits_stored or bits
    one.HighBit, one.PixelRepresentation = one.BitsStored - 1, int(pixels.dtype.kind == "i")
    raw = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    one.PixelData = raw + bytes(len(raw) % 2)
    one["PixelData"].VR = "OB" if bits == 8 else "OW"
    return one


def place(
    one: Dataset,
    position: Sequence[float],
    orientation: Sequence[float] = AXIAL,
    spacing: Sequence[float] = (1.0, 1.0),
    thickness: float = 1.0,
) -> Dataset:
    """Say where the pixels are."""
    one.ImagePositionPatient, one.ImageOrientationPatient = list(map(_text, position)), list(map(_text, orientation))
    one.PixelSpacing, one.SliceThickness = list(map(_text, spacing)), _text(thickness)
    one.FrameOfReferenceUID, one.PositionReferenceIndicator = f"{UID}.9", ""
    return one


def ct_slice(
    pixels: np.ndarray, number: int = 1, z: float = 0.0, slope: float = 1.0, intercept: float = -1024.0, **others
) -> Dataset:
    """Return a CT slice."""
    series = others.pop("series", 1)
    where = {name: others.pop(name) for name in ("position", "orientation", "spacing", "thickness") if name in others}
    one = common(CT, "CT", number, series)
    place(one, where.pop("position", (-10.0, -20.0, z)), **where)
    one.KVP, one.XRayTubeCurrent = "120", 200
    one.PatientPosition = "HFS"
    one.RescaleIntercept, one.RescaleSlope, one.RescaleType = _text(intercept), _text(slope), "HU"
    one.WindowCenter, one.WindowWidth = "40", "400"
    one.SmallestImagePixelValue = int(pixels.min()) if pixels.dtype.kind == "u" else 0
    with_pixels(one, pixels, 12 if pixels.dtype == np.uint16 else 16)
    return changed(one, others)


def ct_series(volume: np.ndarray, spacing_mm: float = 1.0, **others) -> list[Dataset]:
    """Return a stack of CT slices, shape (slices, rows, columns), from feet to head."""
    return [
        ct_slice(pixels, number, (number - 1) * spacing_mm, thickness=spacing_mm, **others)
        for number, pixels in enumerate(volume, 1)
    ]


def mr_slice(pixels: np.ndarray, number: int = 1, z: float = 0.0, **others) -> Dataset:
    """Return an MR slice."""
    one = place(common(MR, "MR", number), others.pop("position", (-10.0, -20.0, z)), others.pop("orientation", AXIAL))
    one.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    one.ScanningSequence, one.SequenceVariant, one.ScanOptions, one.MRAcquisitionType = "SE", "NONE", "", "3D"
    one.RepetitionTime, one.EchoTime, one.EchoTrainLength = "500", "15", 1
    one.PatientPosition, one.WindowCenter, one.WindowWidth = "HFS", _text(200 + number), "400"
    return changed(with_pixels(one, pixels, 12), others)


def pet_slice(pixels: np.ndarray, number: int = 1, z: float = 0.0, slope: float = 1.0, **others) -> Dataset:
    """Return a PET slice; each has a slope of its own, as scanners write them."""
    one = place(common(PT, "PT", number), (-10.0, -20.0, z), AXIAL, (4.0, 4.0), 4.0)
    one.ImageType, one.SeriesDate, one.SeriesTime = ["ORIGINAL", "PRIMARY"], "20260102", "030500"
    one.Units, one.CountsSource, one.SeriesType, one.NumberOfSlices = "BQML", "EMISSION", ["WHOLE BODY", "IMAGE"], 5
    one.CorrectedImage, one.DecayCorrection, one.CollimatorType = ["DECY", "ATTN"], "START", "NONE"
    one.RescaleSlope, one.RescaleIntercept, one.FrameReferenceTime = _text(slope), "0", _text(1000 * number)
    one.ActualFrameDuration, one.DecayFactor, one.ImageIndex = 180000, _text(1 + number / 100), number
    one.AcquisitionTime, one.PatientWeight, one.PatientSize = f"0305{number:02d}", "80", "1.8"
    isotope = Dataset()
    isotope.RadionuclideCodeSequence = [_code("21613005", "SCT", "^18^Fluorine")]
    isotope.RadionuclideTotalDose, isotope.RadionuclideHalfLife = "350000000", "6586.2"
    isotope.RadiopharmaceuticalStartTime, isotope.Radiopharmaceutical = "020500", "FDG"
    one.RadiopharmaceuticalInformationSequence = [isotope]
    one.PatientOrientationCodeSequence = [_code("102538003", "SCT", "recumbent")]
    one.PatientOrientationCodeSequence[0].PatientOrientationModifierCodeSequence = [
        _code("40199007", "SCT", "supine")
    ]
    one.PatientGantryRelationshipCodeSequence = [_code("102540008", "SCT", "headfirst")]
    return changed(with_pixels(one, pixels), others)


def radiograph(pixels: np.ndarray, sop_class_uid: str = CR, interpretation: str = "MONOCHROME1", **others) -> Dataset:
    """Return a radiograph: CR, DX or MG for presentation."""
    one = common(sop_class_uid, {CR: "CR", DX: "DX", MG: "MG"}[sop_class_uid])
    one.BodyPartExamined = "BREAST" if sop_class_uid == MG else "CHEST"
    one.PatientOrientation, one.ImageType = ["A", "F"], ["ORIGINAL", "PRIMARY"]
    if sop_class_uid == CR:
        one.ViewPosition = ""
    if sop_class_uid != CR:
        one.ImageType = ["ORIGINAL", "PRIMARY", ""]
        one.PresentationIntentType, one.ImageLaterality = "FOR PRESENTATION", "U" if sop_class_uid == DX else "L"
        one.AnatomicRegionSequence = [_code("51185008", "SCT", "Chest")]
        one.PixelIntensityRelationship, one.PixelIntensityRelationshipSign = "LOG", 1
        one.RescaleIntercept, one.RescaleSlope, one.RescaleType = "0", "1", "US"
        one.PresentationLUTShape = "INVERSE" if interpretation == "MONOCHROME1" else "IDENTITY"
        one.LossyImageCompression, one.BurnedInAnnotation, one.DetectorType = "00", "NO", "DIRECT"
        one.ImagerPixelSpacing, one.AcquisitionDeviceProcessingDescription = ["0.1", "0.1"], "x"
        one.ViewCodeSequence = [_code("399348003", "SCT", "antero-posterior")]
        one.ViewCodeSequence[0].ViewModifierCodeSequence = []
        one.PositionerType, one.AcquisitionContextSequence = "", []
        one.WindowCenter, one.WindowWidth = "2048", "4096"
    if sop_class_uid == MG:
        one.AnatomicRegionSequence = [_code("76752008", "SCT", "Breast")]
        one.ViewCodeSequence = [_code("399162004", "SCT", "cranio-caudal")]
        one.ViewCodeSequence[0].ViewModifierCodeSequence = []
        one.OrganExposed, one.PositionerType, one.BreastImplantPresent = "BREAST", "MAMMOGRAPHIC", "NO"
        one.PartialView = "NO"
    return changed(with_pixels(one, pixels, 12, interpretation), others)


def angiography(frames: np.ndarray, relationship: str = "DISP", **others) -> Dataset:
    """Return a run of an angiography, shape (frames, rows, columns)."""
    one = common("1.2.840.10008.5.1.4.1.1.12.1", "XA")
    one.ImageType, one.PatientOrientation = ["ORIGINAL", "PRIMARY", "SINGLE PLANE"], ["L", "F"]
    one.PixelIntensityRelationship, one.FrameIncrementPointer, one.FrameTime = relationship, 0x00181063, "100"
    one.KVP, one.XRayTubeCurrent, one.RadiationSetting, one.ExposureTime = "80", 300, "GR", 10
    one.PositionerMotion, one.PositionerPrimaryAngle, one.PositionerSecondaryAngle = "STATIC", "0", "0"
    one.RecommendedViewingMode, one.MaskSubtractionSequence = "SUB", [Dataset()]
    one.MaskSubtractionSequence[0].MaskOperation, one.MaskSubtractionSequence[0].MaskFrameNumbers = "AVG_SUB", 1
    one.WindowCenter, one.WindowWidth = "512", "1024"
    return changed(with_pixels(one, frames, 10), others)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def changed(one: Dataset, values: dict) -> Dataset:
    """Set elements by keyword; None takes one away."""
    for keyword, value in values.items():
        if value is not None:
            setattr(one, keyword, value)
        elif keyword in one:
            del one[keyword]
    return one


def write(
    folder: Path, instances: Iterable[Dataset], transfer_syntax_uid: str = EXPLICIT, name: str = "{:04d}.dcm"
) -> Path:
    """Write instances into a folder, as Part 10."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, one in enumerate(instances):
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = EXPLICIT
        if transfer_syntax_uid in (EXPLICIT, IMPLICIT, DEFLATED):
            one.file_meta.TransferSyntaxUID = transfer_syntax_uid
        else:
            one.compress(transfer_syntax_uid, generate_instance_uid=False)
        one.save_as(folder / name.format(index), enforce_file_format=True)
    return folder


def read(folder: Path) -> list[Dataset]:
    """Return the instances that were made, in order of their numbers."""
    return [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]


def readable(one: Dataset) -> Dataset:
    """Return an instance that has not been in a file with what pydicom needs to read its pixels."""
    if not hasattr(one, "file_meta"):
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = EXPLICIT
    return one


def values(one: Dataset) -> np.ndarray:
    """Return what the pixels of an instance mean, in its units."""
    stored = pydicom.pixels.pixel_array(readable(one), raw=True).astype(float)
    return stored * float(one.get("RescaleSlope") or 1) + float(one.get("RescaleIntercept") or 0)


def _text(number: float) -> str:
    return f"{number:.10g}"
