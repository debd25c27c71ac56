"""The conditions under which an image was acquired: which attributes they are, for each modality, and their units.

One table; the units are those of PS3.3. An attribute that stands in the functional groups of an enhanced multi-frame
object is found there under the same keyword.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class AcquisitionAttribute:
    """One condition.

    Parameters
    ----------
    keyword : str
        The attribute; for one that lies in a sequence the way to it, with dots between.
    unit : str
        Its unit; empty if it has none.
    """

    keyword: str
    unit: str = ""


def _rows(text: str) -> tuple[AcquisitionAttribute, ...]:
    """Read ``Keyword[unit]`` words."""
    rows = []
    for word in text.split():
        keyword, _, unit = word.removesuffix("]").partition("[")
        rows.append(AcquisitionAttribute(keyword, unit.replace("_", " ")))
    return tuple(rows)


EQUIPMENT = _rows("Manufacturer ManufacturerModelName StationName DeviceSerialNumber SoftwareVersions")
"""PS3.3 C.7.5.1."""

_PROTOCOL = _rows("ProtocolName BodyPartExamined PatientPosition ContrastBolusAgent AcquisitionDuration[s]")

_X_RAY = _rows("""
    KVP[kV] XRayTubeCurrent[mA] XRayTubeCurrentInmA[mA] ExposureTime[ms] ExposureTimeInms[ms] Exposure[mAs]
    ExposureInmAs[mAs] FilterType FilterMaterial FocalSpots[mm] DistanceSourceToDetector[mm]
    DistanceSourceToPatient[mm] ImageAndFluoroscopyAreaDoseProduct[dGy*cm2] EntranceDoseInmGy[mGy] Grid
    RelativeXRayExposure ExposureIndex TargetExposureIndex DeviationIndex
""")
"""PS3.3 C.8.7.2, C.8.7.10, C.8.11.3."""

_SLICES = _rows("SliceThickness[mm] SpacingBetweenSlices[mm] PixelSpacing[mm] ReconstructionDiameter[mm]")

_PLATE = _rows("""
    PlateType PlateID DetectorType DetectorID Sensitivity AcquisitionDeviceProcessingDescription ImagerPixelSpacing[mm]
""")

CONDITIONS: Mapping[str, tuple[AcquisitionAttribute, ...]] = MappingProxyType({
    # PS3.3 C.8.2.1, C.8.15.3
    "CT": (*_X_RAY, *_SLICES, *_rows("""
        ConvolutionKernel ReconstructionAlgorithm SpiralPitchFactor TableSpeed[mm/s] TableFeedPerRotation[mm]
        RevolutionTime[s] SingleCollimationWidth[mm] TotalCollimationWidth[mm] GantryDetectorTilt[deg] TableHeight[mm]
        RotationDirection CTDIvol[mGy] DataCollectionDiameter[mm] ScanOptions AcquisitionType ExposureModulationType
        EstimatedDoseSaving[%]
    """)),
    # PS3.3 C.8.3.1, C.8.13.4
    "MR": (*_SLICES, *_rows("""
        MagneticFieldStrength[T] ImagingFrequency[MHz] ScanningSequence SequenceVariant SequenceName PulseSequenceName
        ScanOptions MRAcquisitionType RepetitionTime[ms] EchoTime[ms] EffectiveEchoTime[ms] InversionTime[ms]
        InversionTimes[ms] FlipAngle[deg] EchoTrainLength EchoNumbers NumberOfAverages PercentSampling[%]
        PercentPhaseFieldOfView[%] PixelBandwidth[Hz/pixel] ReceiveCoilName TransmitCoilName AcquisitionMatrix
        InPlanePhaseEncodingDirection ParallelReductionFactorInPlane DiffusionBValue[s/mm2] SAR[W/kg] dBdt[T/s]
    """)),
    # PS3.3 C.8.1.1, C.8.1.2
    "CR": (*_X_RAY, *_PLATE, *_rows("ViewPosition PhosphorType CassetteOrientation CassetteSize")),
    "DX": (*_X_RAY, *_PLATE, *_rows("ViewPosition PositionerPrimaryAngle[deg] DetectorTemperature[degC]")),
    "MG": (*_X_RAY, *_PLATE, *_rows("""
        ViewPosition ImageLaterality AnodeTargetMaterial CompressionForce[N] BodyPartThickness[mm] OrganDose[dGy]
        HalfValueLayer[mm]
    """)),
    "XA": (*_X_RAY, *_rows("""
        PositionerPrimaryAngle[deg] PositionerSecondaryAngle[deg] FrameTime[ms] CineRate[frames/s] RadiationSetting
        AveragePulseWidth[ms] IntensifierSize[mm] FieldOfViewShape
    """)),
    # PS3.3 C.8.5.6
    "US": _rows("""
        TransducerData TransducerType TransducerFrequency[kHz] MechanicalIndex
        BoneThermalIndex CranialThermalIndex SoftTissueThermalIndex DepthOfScanField[mm] FocusDepth[cm] FrameTime[ms]
        HeartRate[1/min] ProcessingFunction SequenceOfUltrasoundRegions.TransducerFrequency[kHz]
        SequenceOfUltrasoundRegions.PulseRepetitionFrequency[Hz]
    """),
    # PS3.3 C.8.9.1, C.8.9.2
    "PT": (*_SLICES, *_rows("""
        RadiopharmaceuticalInformationSequence.Radiopharmaceutical
        RadiopharmaceuticalInformationSequence.RadionuclideTotalDose[Bq]
        RadiopharmaceuticalInformationSequence.RadiopharmaceuticalStartTime
        RadiopharmaceuticalInformationSequence.RadiopharmaceuticalStartDateTime
        RadiopharmaceuticalInformationSequence.RadionuclideHalfLife[s]
        Units DecayCorrection DecayFactor AttenuationCorrectionMethod ScatterCorrectionMethod RandomsCorrectionMethod
        ReconstructionMethod ConvolutionKernel ActualFrameDuration[ms] CorrectedImage SeriesType CollimatorType
    """)),
    # PS3.3 C.8.4.8, C.8.4.10
    "NM": (*_SLICES, *_rows("""
        RadiopharmaceuticalInformationSequence.Radiopharmaceutical
        RadiopharmaceuticalInformationSequence.RadionuclideTotalDose[Bq] ActualFrameDuration[ms] CountsAccumulated
        EnergyWindowInformationSequence.EnergyWindowName DetectorInformationSequence.CollimatorType
        AcquisitionTerminationCondition
    """)),
    # Digitized film: PS3.3 C.8.6.1
    "RG": (*_X_RAY, *_rows("""
        SecondaryCaptureDeviceManufacturer DigitizingDeviceTransportDirection NominalScannedPixelSpacing[mm]
    """)),
})
"""Modality -> what its conditions are; those of every modality come first, see `conditions_of`."""

MODALITIES_ALIKE: Mapping[str, str] = MappingProxyType({"RF": "XA", "IO": "DX", "PX": "DX", "DG": "RG", "ES": "OT"})


def _by_way() -> tuple[frozenset[str], Mapping[str, frozenset[str]]]:
    plain: set[str] = set()
    items: dict[str, set[str]] = {}
    for row in (*EQUIPMENT, *_PROTOCOL, *(row for rows in CONDITIONS.values() for row in rows)):
        sequence, _, inner = row.keyword.rpartition(".")
        (items.setdefault(sequence, set()) if sequence else plain).add(inner)
    return frozenset(plain), MappingProxyType({sequence: frozenset(inner) for sequence, inner in items.items()})


PLAIN_KEYWORDS, ITEM_KEYWORDS = _by_way()
"""The conditions of all modalities: those that stand by themselves, and those in the items of each sequence."""


def units() -> Mapping[str, str]:
    """Return the unit of every condition of the tables, by keyword, or the way to it with dots; empty for none."""
    return {
        row.keyword: row.unit
        for row in (*EQUIPMENT, *_PROTOCOL, *(row for rows in CONDITIONS.values() for row in rows))
    }


def conditions_of(modality: str) -> tuple[AcquisitionAttribute, ...]:
    """Return the conditions of a modality; of one that is not in the table, those that all have."""
    own = CONDITIONS.get(MODALITIES_ALIKE.get(modality, modality), ())
    return (*EQUIPMENT, *_PROTOCOL, *own)
