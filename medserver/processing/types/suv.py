"""Standardized uptake values of PET: by body weight, lean body mass or body surface.

Stored values stay as they are: Rescale Slope gives another unit. What is needed stands in the header, or is said as a
parameter where that lacks it.

References
----------
PS3.3 C.8.9.1, C.8.9.2, C.8.9.4; QIBA, "Vendor-neutral pseudo-code for SUV calculation"
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydicom.dataset import Dataset

from medserver.errors import ObjectNotReadable, ObjectTypeNotSupported
from medserver.processing.parameters import Values
from medserver.processing.pixels.images import number_of, open_image, text_of, texts_of
from medserver.processing.pixels.planes import decimal, set_window
from medserver.processing.pixels.results import Derivation, derived_image
from medserver.processing.pixels.volume import Rescale, rescale_of
from medserver.processing.task import Task

_WHAT = {
    "body-weight": ("BW", "GML", "body weight"),
    "lean-janma": ("LBMJANMA", "GML", "lean body mass (Janmahasatian)"),
    "lean-james": ("LBMJAMES128", "GML", "lean body mass (James)"),
    "body-surface": ("BSA", "CM2ML", "body surface (Du Bois)"),
}
"""SUV Type (PS3.3 C.8.9.1.1.4), Units, and what it is for people."""


@dataclass(frozen=True, slots=True)
class Patient:
    """What the uptake is related to: weight [kg], size [m] (0: not known), sex (``M``, ``F`` or another)."""

    weight_kg: float
    size_m: float
    sex: str


def suv(task: Task) -> None:
    """Write each slice with the standardized uptake value as its unit."""
    kind = str(task.parameters["by"])
    suv_type, units, words = _WHAT[kind]
    started = _scan_start(task)
    derivation = Derivation(f"Standardized uptake value by {words}", (), f"SUV {suv_type}")
    for number in task.numbers(len(task.sources)):
        with open_image(task.sources[number - 1], task.outputs) as image:
            dataset = image.dataset
            _check(dataset)
            patient = _patient(dataset, task.parameters)
            factor = normalization(kind, patient) / _activity(dataset, task.parameters, started)
            pixels, rescale, window = image.pixels(), rescale_of(dataset), _window(dataset, factor)
            derived_image(task, number, image, derivation)
            _describe(dataset, rescale, factor, units, suv_type)
            set_window(dataset, task.parameters.get("window", window))
            task.write(number, dataset, pixels)


def normalization(kind: str, patient: Patient) -> float:
    """Return what one multiplies the part of the activity in a millilitre with, in g or cm2.

    Raises
    ------
    ObjectNotReadable
        Size or sex would have to be known.
    """
    weight, size_cm = patient.weight_kg, 100 * patient.size_m
    if kind == "body-weight":
        return 1000 * weight
    if not 30 < size_cm < 280:
        raise ObjectNotReadable("the Patient's Size is not known, which this SUV needs: give it as 'height'")
    if kind == "body-surface":
        return 1e4 * 0.007184 * weight**0.425 * size_cm**0.725
    if patient.sex not in ("M", "F"):
        raise ObjectNotReadable("the Patient's Sex is not M or F, which the lean body mass needs: give it as 'sex'")
    if kind == "lean-janma":
        index = weight / (size_cm / 100) ** 2
        denominator = 6680 + 216 * index if patient.sex == "M" else 8780 + 244 * index
        return 1000 * 9270 * weight / denominator
    slope, square = (1.10, 128) if patient.sex == "M" else (1.07, 148)
    return 1000 * (slope * weight - square * (weight / size_cm) ** 2)


def _check(dataset: Dataset) -> None:
    """Refuse what is not activity, corrected for attenuation and decay.

    Raises
    ------
    ObjectTypeNotSupported
        It is not.
    """
    units, corrected = text_of(dataset, "Units"), texts_of(dataset, "CorrectedImage")
    if units != "BQML":
        raise ObjectTypeNotSupported(f"the Units are {units or 'not said'}, and not BQML")
    if "ATTN" not in corrected or "DECY" not in corrected:
        raise ObjectTypeNotSupported("the image is not corrected for attenuation and decay (Corrected Image)")
    if text_of(dataset, "DecayCorrection") not in ("START", "ADMIN"):
        raise ObjectTypeNotSupported("Decay Correction is neither START nor ADMIN")


def _patient(dataset: Dataset, parameters: dict[str, Values]) -> Patient:
    weight = float(parameters.get("weight") or number_of(dataset, "PatientWeight", 0))
    if not 0.3 <= weight <= 700:
        raise ObjectNotReadable("the Patient's Weight is not known: give it as 'weight'")
    size = float(parameters.get("height") or number_of(dataset, "PatientSize", 0))
    return Patient(weight, size, str(parameters.get("sex") or text_of(dataset, "PatientSex")))


def _activity(dataset: Dataset, parameters: dict[str, Values], started: datetime) -> float:
    """Return the activity that was given, as far as it has decayed when the scan started [Bq].

    Raises
    ------
    ObjectNotReadable
        The header lacks something.
    """
    items = dataset.get("RadiopharmaceuticalInformationSequence") or ()
    if len(items) != 1:
        raise ObjectNotReadable(f"there are {len(items)} items in Radiopharmaceutical Information, and not one")
    item = items[0]
    dose = float(parameters.get("dose") or number_of(item, "RadionuclideTotalDose", 0))
    if dose <= 0:
        raise ObjectNotReadable("the Radionuclide Total Dose is not known: give it as 'dose'")
    if text_of(dataset, "DecayCorrection") == "ADMIN":
        return dose
    half_life = number_of(item, "RadionuclideHalfLife", 0)
    if half_life <= 0:
        raise ObjectNotReadable("the Radionuclide Half Life is not known")
    waited = (started - _injection(item, started)).total_seconds()
    return dose * 2 ** (-waited / half_life)


def _injection(item: Dataset, started: datetime) -> datetime:
    """Return when the activity was given: before the scan, and less than a day before where only the time is known."""
    whole = text_of(item, "RadiopharmaceuticalStartDateTime")
    if whole:
        given = _read(whole[:8], whole[8:].partition("+")[0].partition("-")[0])
    else:
        given = _read(f"{started:%Y%m%d}", text_of(item, "RadiopharmaceuticalStartTime"))
        if given > started:
            given -= timedelta(days=1)
    if given > started:
        raise ObjectNotReadable("the activity was given after the scan has started")
    return given


def _scan_start(task: Task) -> datetime:
    """Return when the scan started, which decay is corrected to: Series Time, or the earliest acquisition before it."""
    moments = []
    for source in task.sources:
        facts = source.facts
        acquired = text_of(facts, "AcquisitionDate"), text_of(facts, "AcquisitionTime")
        series = text_of(facts, "SeriesDate"), text_of(facts, "SeriesTime")
        moments += [_read(*one) for one in (acquired, series) if all(one)]
    if not moments:
        raise ObjectNotReadable("it is not known when the scan started")
    return min(moments)


def _read(date: str, time: str) -> datetime:
    try:
        if len(time) < len("HHMM"):
            raise ValueError
        return datetime.strptime(date + time.partition(".")[0].ljust(6, "0")[:6], "%Y%m%d%H%M%S")
    except ValueError:
        raise ObjectNotReadable(f"{date} {time} is no date and time") from None


def _window(dataset: Dataset, factor: float) -> tuple[float, float] | None:
    centers, widths = texts_of(dataset, "WindowCenter"), texts_of(dataset, "WindowWidth")
    return (float(centers[0]) * factor, float(widths[0]) * factor) if centers and widths else None


def _describe(dataset: Dataset, rescale: Rescale, factor: float, units: str, suv_type: str) -> None:
    dataset.RescaleSlope = f"{rescale.slope * factor:.10g}"
    dataset.RescaleIntercept = decimal(rescale.intercept * factor)
    dataset.Units, dataset.SUVType = units, suv_type
    for keyword in ("RescaleType", "RealWorldValueMappingSequence"):
        if keyword in dataset:
            del dataset[keyword]
