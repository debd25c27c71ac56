"""Whether two descriptions of a patient can be of one person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """What tells people apart who share a Patient ID.

    Parameters
    ----------
    name : tuple of str, length 3
        The normalised component groups of the Patient's Name; empty if unknown.
    birth_date : str
        Normalised; empty if unknown.
    sex : str
        Upper case; empty if unknown.
    """

    name: tuple[str, str, str]
    birth_date: str
    sex: str

    @classmethod
    def from_row(cls, row: Mapping[str, str | None]) -> Person:
        """Read a row of the table of patients.

        Parameters
        ----------
        row : Mapping
            Column -> value.
        """
        return cls(
            (
                row["patient_name_alphabetic"] or "",
                row["patient_name_ideographic"] or "",
                row["patient_name_phonetic"] or "",
            ),
            row["patient_birth_date_normal"] or "",
            (row["patient_sex"] or "").upper(),
        )

    def can_be(self, other: Person) -> bool:
        """Tell whether nothing speaks against the two being one person.

        Parameters
        ----------
        other : Person
            Somebody with the same Patient ID and Issuer.

        Returns
        -------
        bool
            False if the names, birth dates or sexes are known and differ. A component group that one of
            the names lacks does not count.
        """
        pairs = [*zip(self.name, other.name), (self.birth_date, other.birth_date), (self.sex, other.sex)]
        return all(not ours or not theirs or ours == theirs for ours, theirs in pairs)
