"""Multi-frame objects of several SOP classes, in which dciodvfy finds no error."""

from __future__ import annotations

import numpy as np
from medserver.dicom import uids
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.tag import Tag
from pydicom.uid import (
    EnhancedCTImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    NuclearMedicineImageStorage,
    UltrasoundMultiFrameImageStorage,
    VLWholeSlideMicroscopyImageStorage,
    XRayAngiographicImageStorage,
)

from tests.services import corpus


def pixels_of(frames: int, rows: int, columns: int, dtype: str = "<u2") -> np.ndarray:
    """Return frames that differ in every pixel, shape (frames, rows, columns)."""
    generator = np.random.default_rng(frames * rows * columns)
    return generator.integers(0, 250, (frames, rows, columns)).astype(dtype)


def image(sop_class_uid: str, pixels: np.ndarray, **attributes: object) -> Dataset:
    """Return an image of a SOP class, with what most of them have."""
    frames, rows, columns = pixels.shape[:3]
    bits = pixels.dtype.itemsize * 8
    dataset = corpus.make_dataset(
        SOPClassUID=sop_class_uid,
        ImageType=["ORIGINAL", "PRIMARY"],
        InstanceCreationDate="20260101",
        StudyDate="20260131",
        SeriesDate="20260131",
        ContentDate="20260131",
        ContentTime="101112",
        AcquisitionDateTime="20260131101112",
        StudyTime="100000",
        AccessionNumber="",
        Manufacturer="Works",
        ReferringPhysicianName="",
        PatientBirthDate="",
        PatientSex="O",
        StudyID="1",
        SeriesNumber=1,
        InstanceNumber=7,
        PatientOrientation="",
        Laterality="",
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        NumberOfFrames=frames,
        Rows=rows,
        Columns=columns,
        BitsAllocated=bits,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=0,
        LossyImageCompression="00",
    )
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    block = dataset.private_block(0x0019, "TESTS", create=True)
    block.add_new(0x01, "LO", "of all frames")
    dataset.add_new("PixelData", "OW" if bits > 8 else "OB", pixels.tobytes() + bytes(pixels.nbytes % 2))
    return dataset


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return a coded concept."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def one(**attributes: object) -> list[Dataset]:
    """Return a sequence of one item."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return [item]


def dimensions(*pointers: tuple[str, str]) -> dict[str, list[Dataset]]:
    """Return the Multi-frame Dimension Module for (functional group, attribute)."""
    uid = uids.new_uid()
    items = [
        one(
            DimensionOrganizationUID=uid,
            DimensionIndexPointer=Tag(attribute),
            FunctionalGroupPointer=Tag(group),
        )[0]
        for group, attribute in pointers
    ]
    return {"DimensionOrganizationSequence": one(DimensionOrganizationUID=uid), "DimensionIndexSequence": items}


def enhanced_ct(frames: int = 8, rows: int = 6, columns: int = 5, **attributes: object) -> Dataset:
    """Return an Enhanced CT image: one plane a second, 2.5 mm apart; with private attributes for each frame."""
    dataset = image(EnhancedCTImageStorage, pixels_of(frames, rows, columns), **attributes)
    dataset.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]  # the macros of acquisition are for ORIGINAL
    dataset.PatientPosition = "HFS"
    del dataset.Laterality
    dataset.update(
        {
            element.tag: element
            for element in _of(
                FrameOfReferenceUID=uids.new_uid(),
                PositionReferenceIndicator="",
                ContentQualification="RESEARCH",
                VolumetricProperties="VOLUME",
                VolumeBasedCalculationTechnique="NONE",
                PixelPresentation="MONOCHROME",
                BurnedInAnnotation="NO",
                PresentationLUTShape="IDENTITY",
                AcquisitionNumber=1,
                ManufacturerModelName="Tube",
                DeviceSerialNumber="1",
                SoftwareVersions="1",
                SynchronizationFrameOfReferenceUID=uids.new_uid(),
                AcquisitionTimeSynchronized="N",
                SynchronizationTrigger="NO TRIGGER",
                MultienergyCTAcquisition="NO",
                AcquisitionContextSequence=[],
                ConcatenationUID=uids.new_uid(),
                InConcatenationNumber=1,
                ConcatenationFrameOffsetNumber=0,
                SOPInstanceUIDOfConcatenationSource=uids.new_uid(),
                DimensionOrganizationType="3D",
                **dimensions(("FrameContentSequence", "StackID"), ("FrameContentSequence", "InStackPositionNumber")),
            )
        }
    )
    shared = Dataset()
    shared.PixelMeasuresSequence = one(SliceThickness="2.5", PixelSpacing=["1", "1"])
    shared.PlaneOrientationSequence = one(ImageOrientationPatient=["1", "0", "0", "0", "1", "0"])
    shared.FrameAnatomySequence = one(
        FrameLaterality="U", AnatomicRegionSequence=[code("69536005", "SCT", "Head")]
    )
    shared.FrameVOILUTSequence = one(WindowCenter="40", WindowWidth="400")
    shared.PixelValueTransformationSequence = one(RescaleIntercept="-1024", RescaleSlope="1", RescaleType="HU")
    shared.CTImageFrameTypeSequence = one(
        FrameType=["DERIVED", "PRIMARY", "VOLUME", "NONE"],
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )
    shared.IrradiationEventIdentificationSequence = one(IrradiationEventUID=uids.new_uid())
    dataset.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for index in range(frames):
        item = Dataset()
        item.FrameContentSequence = one(
            FrameAcquisitionNumber=index + 1,
            FrameReferenceDateTime=f"202601311011{12 + index}.5",
            FrameAcquisitionDateTime=f"202601311011{12 + index}",
            FrameAcquisitionDuration=500.0,
            StackID="1",
            InStackPositionNumber=index + 1,
            DimensionIndexValues=[1, index + 1],
        )
        item.PlanePositionSequence = one(ImagePositionPatient=["0", "0", f"{2.5 * index}"])
        groups.append(item)
    dataset.PerFrameFunctionalGroupsSequence = groups
    return dataset


def _of(**attributes: object) -> Dataset:
    return one(**attributes)[0]


def cine(frames: int = 10, **attributes: object) -> Dataset:
    """Return a US loop of 25 images a second."""
    return image(
        UltrasoundMultiFrameImageStorage,
        pixels_of(frames, 4, 3, "u1"),
        **{
            "Modality": "US",
            "FrameIncrementPointer": Tag("FrameTime"),
            "FrameTime": "40",
            "CineRate": 25,
            "StartTrim": 2,
            "StopTrim": frames,
            "RepresentativeFrameNumber": 4,
            "RWavePointer": [3, 6, 9],
            "FrameNumbersOfInterest": [4, 5],
            "FrameOfInterestDescription": ["four", "five"],
            **attributes,
        },
    )


def bits(frames: int = 7, rows: int = 3, columns: int = 5, **attributes: object) -> tuple[Dataset, np.ndarray]:
    """Return an image of one bit a pixel, whose frames do not begin at bytes; and its pixels."""
    pixels = pixels_of(frames, rows, columns, "u1") % 2
    dataset = image(
        MultiFrameSingleBitSecondaryCaptureImageStorage,
        pixels,
        **{
            "BurnedInAnnotation": "NO",
            "ConversionType": "WSD",
            "FrameIncrementPointer": Tag("PageNumberVector"),
            "PageNumberVector": list(range(1, frames + 1)),
            **attributes,
        },
    )
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    packed = np.packbits(pixels.reshape(-1), bitorder="little").tobytes()
    dataset.add_new("PixelData", "OB", packed + bytes(len(packed) % 2))
    return dataset, pixels


def secondary_capture(frames: int = 6, **attributes: object) -> Dataset:
    """Return a multi-frame secondary capture with a label for each page."""
    return image(
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        pixels_of(frames, 5, 5, "u1"),
        **{
            "ConversionType": "WSD",
            "BurnedInAnnotation": "NO",
            "PresentationLUTShape": "IDENTITY",
            "RescaleIntercept": "0",
            "RescaleSlope": "1",
            "RescaleType": "US",
            "FrameIncrementPointer": [Tag("PageNumberVector"), Tag("FrameLabelVector")],
            "PageNumberVector": list(range(11, 11 + frames)),
            "FrameLabelVector": [f"page {number}" for number in range(1, frames + 1)],
            **attributes,
        },
    )


def angiography(frames: int = 6, **attributes: object) -> Dataset:
    """Return an XA run of a turning positioner, with a mask."""
    return image(
        XRayAngiographicImageStorage,
        pixels_of(frames, 4, 4, "u1"),
        **{
            "Modality": "XA",
            "ImageType": ["ORIGINAL", "PRIMARY", "SINGLE PLANE"],
            "PixelIntensityRelationship": "LIN",
            "KVP": "80",
            "RadiationSetting": "GR",
            "XRayTubeCurrent": 100,
            "ExposureTime": 10,
            "Exposure": 1,
            "FrameIncrementPointer": Tag("FrameTimeVector"),
            "FrameTimeVector": ["0", *("100",) * (frames - 1)],
            "FrameDelay": "50",
            "PositionerMotion": "DYNAMIC",
            "PositionerPrimaryAngle": "10",
            "PositionerSecondaryAngle": "0",
            "PositionerPrimaryAngleIncrement": ["2"],
            "PositionerSecondaryAngleIncrement": [str(number) for number in range(frames)],
            "RecommendedViewingMode": "SUB",
            "MaskSubtractionSequence": one(
                MaskOperation="AVG_SUB", MaskFrameNumbers=[1], ApplicableFrameRange=[2, frames]
            ),
            **attributes,
        },
    )


def nuclear(**attributes: object) -> Dataset:
    """Return a dynamic NM study of two phases: five time slices, and three."""
    phases = [1] * 5 + [2] * 3
    dataset = image(
        NuclearMedicineImageStorage,
        pixels_of(8, 4, 4),
        **{
            "Modality": "NM",
            "ImageType": ["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"],
            "PatientOrientationCodeSequence": [],
            "PatientGantryRelationshipCodeSequence": [],
            "PixelSpacing": ["1", "1"],
            "EnergyWindowVector": [1] * 8,
            "DetectorVector": [1] * 8,
            "NumberOfEnergyWindows": 1,
            "NumberOfDetectors": 1,
            "CountsAccumulated": 1000,
            "EnergyWindowInformationSequence": [],
            "RadiopharmaceuticalInformationSequence": [],
            "DetectorInformationSequence": [],
            "FrameIncrementPointer": [
                Tag(f"{name}Vector") for name in ("EnergyWindow", "Detector", "Phase", "TimeSlice")
            ],
            "PhaseVector": phases,
            "TimeSliceVector": [1, 2, 3, 4, 5, 1, 2, 3],
            "NumberOfPhases": 2,
            **attributes,
        },
    )
    dataset.PhaseInformationSequence = [
        one(PhaseDelay=0, ActualFrameDuration=1000, PauseBetweenFrames=0, NumberOfFramesInPhase=count)[0]
        for count in (5, 3)
    ]
    return dataset


def slide(**attributes: object) -> Dataset:
    """Return a slide of 3 rows of 4 tiles, whose places go without saying."""
    dataset = image(
        VLWholeSlideMicroscopyImageStorage,
        pixels_of(12, 4, 4, "u1"),
        **{
            "Modality": "SM",
            "DimensionOrganizationType": "TILED_FULL",
            "DimensionOrganizationSequence": one(DimensionOrganizationUID=uids.new_uid()),
            "TotalPixelMatrixColumns": 14,
            "TotalPixelMatrixRows": 11,
            "TotalPixelMatrixFocalPlanes": 1,
            "TotalPixelMatrixOriginSequence": one(
                XOffsetInSlideCoordinateSystem="10", YOffsetInSlideCoordinateSystem="20"
            ),
            "ImageOrientationSlide": ["0", "-1", "0", "-1", "0", "0"],
            "NumberOfOpticalPaths": 1,
            "OpticalPathSequence": one(
                OpticalPathIdentifier="1",
                IlluminationTypeCodeSequence=[code("111744", "DCM", "Brightfield illumination")],
                IlluminationColorCodeSequence=[code("414298005", "SCT", "Full Spectrum")],
            ),
            "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"],
            "ManufacturerModelName": "Scanner",
            "DeviceSerialNumber": "1",
            "SoftwareVersions": "1",
            "AcquisitionContextSequence": [],
            "ContainerIdentifier": "C1",
            "IssuerOfTheContainerIdentifierSequence": [],
            "ContainerTypeCodeSequence": [],
            "SpecimenDescriptionSequence": one(
                SpecimenIdentifier="S1",
                SpecimenUID=uids.new_uid(),
                IssuerOfTheSpecimenIdentifierSequence=[],
                SpecimenPreparationSequence=[],
            ),
            "PresentationLUTShape": "IDENTITY",
            "RescaleSlope": "1",
            "RescaleIntercept": "0",
            "VolumetricProperties": "VOLUME",
            "SpecimenLabelInImage": "NO",
            "BurnedInAnnotation": "NO",
            "FocusMethod": "AUTO",
            "ExtendedDepthOfField": "NO",
            "FrameOfReferenceUID": uids.new_uid(),
            "PositionReferenceIndicator": "SLIDE_CORNER",
            "ImagedVolumeWidth": 1.0,
            "ImagedVolumeHeight": 1.0,
            "ImagedVolumeDepth": 1.0,
            **attributes,
        },
    )
    shared = Dataset()
    shared.PixelMeasuresSequence = one(SliceThickness="0.01", PixelSpacing=["0.002", "0.001"])
    shared.WholeSlideMicroscopyImageFrameTypeSequence = one(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])
    if dataset.NumberOfOpticalPaths == 1:
        shared.OpticalPathIdentificationSequence = one(OpticalPathIdentifier="1")
    del dataset.Laterality
    dataset.SharedFunctionalGroupsSequence = [shared]
    return dataset


def encapsulated(dataset: Dataset, code_streams: list[bytes], *, parts: int = 1, tables: str = "basic") -> Dataset:
    """Give a data set encapsulated pixel data: fragments a frame, and offset tables (basic, extended, none)."""
    if tables == "extended":
        dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = encapsulate_extended(
            code_streams
        )
    else:
        dataset.PixelData = encapsulate(code_streams, parts, has_bot=tables == "basic")
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset
