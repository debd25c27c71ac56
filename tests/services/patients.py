"""An archive for queries: few patients, studies and series, and values that are hard to match rightly."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from medserver.dicom import uids
from pydicom.dataset import Dataset

from tests.services.corpus import BIG_ENDIAN, EXPLICIT, IMPLICIT, Object, encoded, make_dataset

UTF_8 = "ISO_IR 192"

# Specific Character Set, Patient ID, Patient's Name, birth date.
PATIENTS = (
    ("ISO_IR 100", "P1", "Müller^Hans", "19500131"),
    ("ISO_IR 100", "p1", "MULLER^Jane", "19501231"),
    (UTF_8, "P_1", "Yamada^Tarou=山田^太郎=やまだ^たろう", "19600229"),
    (["", "ISO 2022 IR 87"], "PX1", "Yamada^Jirou=山田^次郎=やまだ^じろう", "19700101"),
    (["", "ISO 2022 IR 149"], "P%1", "Hong^Gildong=洪^吉洞=홍^길동", "19800101"),
    ("ISO_IR 144", "P[1]", "Люксембург^Роза", "18710305"),
    ("ISO_IR 126", "P1]", "Διονυσιος^Α", ""),
    ("", "P-1.2", "O'Neil^100%_[x]", "20000229"),
    ("", "PP11", "Smith", "20001231"),
    ("", "E HERE 11", "Smith^John^Jr^Dr^MD", "20010101"),
)

DATES = ("20250101", "20250131", "20250201", "20251231", "20260101", "")
TIMES = ("093000", "0930", "09", "093000.5", "235959.999999", "000000", "")
DESCRIPTIONS = (
    "Head CT",
    "head ct",
    "100% dose",
    "100x dose",
    "A_B",
    "AxB",
    "A[B]",
    "AB",
    "Thorax, a.p.",
    "",
)
MODALITIES = ("CT", "MR", "US", "PT", "CR")
SYNTAXES = (EXPLICIT, IMPLICIT, BIG_ENDIAN)


def make_archive() -> list[Object]:
    """Return the instances: for each patient 1 - 3 studies of 1 - 2 series of 1 - 2 instances."""
    return [encoded(dataset, syntax) for dataset, syntax in zip(_datasets(), itertools.cycle(SYNTAXES))]


def _datasets() -> Iterator[Dataset]:
    numbers = itertools.count()
    for patient_number, (character_set, patient_id, name, birth_date) in enumerate(PATIENTS):
        patient = {"PatientID": patient_id, "PatientName": name, "PatientBirthDate": birth_date}
        patient |= {"SpecificCharacterSet": character_set, "PatientSex": "MFO"[patient_number % 3]}
        for study_number in range(patient_number % 3 + 1):
            number = next(numbers)
            study = patient | {
                "StudyInstanceUID": uids.new_uid(),
                "StudyDate": DATES[number % len(DATES)],
                "StudyTime": TIMES[number % len(TIMES)],
                "AccessionNumber": f"ACC{number % 7}",
                "StudyID": str(number),
                "StudyDescription": DESCRIPTIONS[number % len(DESCRIPTIONS)],
                "ReferringPhysicianName": ("Übel^Åse", "ubel^ase", "Øre^X", "")[number % 4]
                if character_set in ("ISO_IR 100", UTF_8)
                else "Doe^Jane",
            }
            for series_number in range(1, study_number % 2 + 2):
                yield from _series(study, number, series_number)


def _series(study: dict[str, object], number: int, series_number: int) -> Iterator[Dataset]:
    series = study | {
        "SeriesInstanceUID": uids.new_uid(),
        "SeriesNumber": series_number,
        "Modality": MODALITIES[(number + series_number) % len(MODALITIES)],
        "SeriesDescription": DESCRIPTIONS[(number + series_number) % len(DESCRIPTIONS)],
        "BodyPartExamined": ("HEAD", "CHEST", "")[number % 3],
        "OperatorsName": ["Op^One", "Op^Two"] if number % 2 else "Op^Three",
    }
    for instance_number in range(1, number % 2 + 2):
        dataset = make_dataset(**series)
        dataset.InstanceNumber = instance_number
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if instance_number == 1 else "LOCALIZER"]
        dataset.Rows, dataset.Columns = 64 * instance_number, 128
        dataset.ContentDate, dataset.ContentTime = (
            DATES[number % len(DATES)],
            TIMES[instance_number % len(TIMES)],
        )
        yield dataset
