"""Attributes that have to be in an object, if need be without a value (PS3.5 7.4.3, 7.4.4)."""

from __future__ import annotations

TYPE_2 = frozenset("""
    AccessionNumber AcquiredImageAreaDoseProduct AcquisitionDate AcquisitionDateTime AcquisitionNumber
    AcquisitionTime ActualFrameDuration AxialLengthOfTheEye AxialResolution BarcodeValue BeamSpotSize
    BeatRejectionFlag BodyPartExamined ClinicalTrialCoordinatingCenterName ClinicalTrialProtocolName
    ClinicalTrialSiteID ClinicalTrialSiteName ClinicalTrialTimePointID CollimatorType ContactMethod ContentDate
    ContentDescription ContentTime ContrastBolusAgent ConversionType CorrectedImage CountsAccumulated
    DegreeOfDilation DetectorType DistanceReceptorPlaneToDetectorHousing DocumentTitle EchoTime EchoTrainLength
    EffectiveRefractiveIndex EmitterColorTemperature EmmetropicMagnification Exposure ExposureTime
    ExposureTimeInuS FieldOfViewDimensions FieldOfViewShape FirstTreatmentDate HighRRValue HorizontalFieldOfView
    ImageAcquisitionDepth ImageLaterality ImagePlanePixelSpacing ImageType ImmersionMedia InstanceNumber
    IntervalsAcquired IntervalsRejected IntraOcularPressure InversionTime KVP LabelText Laterality
    LensDescription LightSourcePolarization LossyImageCompression LowRRValue MRAcquisitionType Manufacturer
    MostRecentTreatmentDate NumberOfFractionsPlanned NumberOfStages NumberOfViewsInStage OCTFocalDistance
    OCTOpticalCenterWavelength OperatorsName OphthalmicAnatomicReferencePointXCoordinate
    OphthalmicAnatomicReferencePointYCoordinate OpticalMagnificationFactor PatientBirthDate
    PatientBreedDescription PatientEyeMovementCommanded PatientID PatientName PatientOrientation PatientPosition
    PatientSex PatientSexNeutered PixelSpacing PositionReferenceIndicator PositionerMotion
    PositionerPrimaryAngle PositionerPrimaryAngleIncrement PositionerSecondaryAngle
    PositionerSecondaryAngleIncrement PositionerType PrimaryDosimeterUnit PupilDilated RTImageOrientation
    RTImagePosition RTImageSID RTPlanDate RTPlanTime RadiationMachineName RadiationMachineSAD
    RecommendedViewingMode ReferringPhysicianName RepetitionTime ReportedValuesOrigin ReprojectionMethod
    ResponsibleOrganization ResponsiblePerson ReviewDate ReviewTime ReviewerName ScanLength ScanOptions
    ScanVelocity SeriesNumber SliceThickness SpacingBetweenSlices StartCumulativeMeterset StopCumulativeMeterset
    StructureSetDate StructureSetTime StudyDate StudyID StudyTime TableLateralIncrement
    TableLongitudinalIncrement TableMotion TableVerticalIncrement TreatmentDate TreatmentTerminationDescription
    TreatmentTime TriggerTime ViewPosition XRayImageReceptorAngle XRayTubeCurrent
""".split())
"""Keywords of the attributes that are of Type 2 or 2C in a module of a composite IOD (PS3.3 annexes A and C).

Where one of them is of Type 3 in another IOD it may be empty all the same (PS3.5 7.4.5). Sequences, UIDs and bulk data,
which no rule changes, are not listed.
"""
