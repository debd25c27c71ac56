"""One application of a type of processing: what a worker process is told, and what the type is given.

`perform` is the way in, by name: ``medserver.processing.task:perform``, with arguments that JSON can hold.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from medserver.dicom.uids import is_valid_uid
from medserver.errors import (
    CannotProcess,
    CannotRender,
    CannotTranscode,
    IncompleteObjectSet,
    MixedObjectSet,
    ObjectNotReadable,
    ObjectTypeNotSupported,
    TooLargeToProcess,
    TransferSyntaxNotSupported,
    UnusableParameters,
)
from medserver.processing.parameters import Values, check
from medserver.processing.pixels.files import write_encapsulated, write_instance
from medserver.processing.pixels.images import Source, read_sources
from medserver.processing.progress import Note
from medserver.processing.types import ProcessingType, find_type
from medserver.processing.uids import OUTPUTS_MAX, uid_made_for


@dataclass(slots=True)
class Task:
    """What a type of processing is given.

    Parameters
    ----------
    kind : ProcessingType
        The type.
    sources : list of Source
        The images, all of one patient, by series and Instance Number; at least one, of the modalities that the type
        takes, and of one series if its scope is that.
    parameters : dict
        The checked values of its parameters.
    workitem_uid : str
        The work item, of which the UIDs of the outputs are made.
    outputs : Path
        The folder into which files are written.
    selection : frozenset of int, optional
        The numbers of the outputs that are wanted, from 1; all without.
    part : tuple of int, (index, count)
        Which part of these is to be made here, of how many.
    moment : str
        When the work began, ``YYYYMMDDHHMMSS``; empty: the outputs do not say it.

    Attributes
    ----------
    count : int
        How many outputs there are in all, as far as `numbers` was told.
    written : int
        How many were written.
    """

    kind: ProcessingType
    sources: list[Source]
    parameters: dict[str, Values]
    workitem_uid: str
    outputs: Path
    selection: frozenset[int] | None = None
    part: tuple[int, int] = (0, 1)
    moment: str = ""
    count: int = field(default=0, init=False)
    written: int = field(default=0, init=False)
    _wanted: int = field(default=0, init=False)
    _before: float = field(default=0.0, init=False)
    _note: Note | None = field(default=None, init=False)

    def numbers(self, count: int, before: float = 0.0) -> list[int]:
        """Return which of the outputs 1 to `count` are to be made here, in ascending order.

        Parameters
        ----------
        count : int
            How many there are if all are wanted.
        before : float
            What part of the work comes before the first of them, 0 to 1: see `prepared`.

        Raises
        ------
        IncompleteObjectSet
            Others are wanted.
        TooLargeToProcess
            They are more than `OUTPUTS_MAX`.
        """
        self.count = count
        if count > OUTPUTS_MAX:
            raise TooLargeToProcess(f"{self.kind.name} would make {count} instances, more than {OUTPUTS_MAX}")
        wanted = sorted(range(1, count + 1) if self.selection is None else self.selection)
        if wanted and not 1 <= wanted[0] <= wanted[-1] <= count:
            beyond = wanted[0] if wanted[0] < 1 else wanted[-1]
            raise IncompleteObjectSet(f"there is no output {beyond}: {self.kind.name} makes 1 to {count} of them")
        index, parts = self.part
        own = wanted[len(wanted) * index // parts : len(wanted) * (index + 1) // parts]
        self._wanted, self._before, self._note = len(own), before, Note(self.outputs, index)
        return own

    def prepared(self, fraction: float) -> None:
        """Note how much is done, 0 to 1, of the work that comes before the first output; this costs nothing."""
        if self._note is not None:
            self._note.reached(self._before * fraction)

    def reached(self, fraction: float) -> None:
        """Note how much of the next output is done, 0 to 1, for whoever waits for it; this costs nothing."""
        if self._note is not None and self._wanted:
            done = (self.written + fraction) / self._wanted
            self._note.reached(self._before + (1 - self._before) * done)

    def uid(self, what: str, which: int | str = "") -> str:
        """Return a UID that a repeat of the same work item has again (PS3.5 B.2).

        Parameters
        ----------
        what : str
            Of what: ``instance``, ``series``, ``frame of reference``.
        which : int or str
            Which of them: a number, or the UID of that which it is in the place of.
        """
        return uid_made_for(self.workitem_uid, what, which)

    def write(self, number: int, dataset: Dataset, pixels: np.ndarray | None = None) -> None:
        """Write an output, Part 10 in Explicit VR Little Endian.

        Parameters
        ----------
        number : int
            Its number, one of `numbers`.
        dataset : Dataset
            Its elements; without Pixel Data if `pixels` has them.
        pixels : ndarray, optional
            The stored values of all frames, of the type that the elements say.
        """
        write_instance(self.outputs / f"{number:06d}.dcm", dataset, pixels)
        self.written += 1
        self.reached(0)

    def write_encapsulated(self, number: int, dataset: Dataset, transfer_syntax_uid: str) -> None:
        """Write an output whose Pixel Data is encoded in a transfer syntax.

        Parameters
        ----------
        number : int
            Its number, one of `numbers`.
        dataset : Dataset
            Its elements, as they were read.
        transfer_syntax_uid : str
            That of the Pixel Data.
        """
        write_encapsulated(self.outputs / f"{number:06d}.dcm", dataset, transfer_syntax_uid)
        self.written += 1
        self.reached(0)


def perform(
    type_name: str,
    inputs: str,
    outputs: str,
    parameters: Mapping[str, object],
    workitem_uid: str,
    selection: Sequence[int] | None = None,
    part: Sequence[int] | None = None,
    moment: str = "",
) -> dict[str, int]:
    """Apply a type of processing to the files of a folder. The job that worker processes do.

    Parameters
    ----------
    type_name : str
        The name of the type.
    inputs, outputs : str
        Folders: of the Part 10 files that are read, and of those that are written, ``NUMBER.dcm`` with six digits. The
        latter exists and is empty; after an error there may be files in it, none of which is to be used. See `progress`
        for what else is written there by what takes long.
    parameters : mapping
        Name -> value, as they were given.
    workitem_uid : str
        The SOP Instance UID of the work item: the same one makes the same UIDs and, with the same `moment`, the same
        bytes.
    selection : sequence of int, optional
        The numbers of the outputs that are wanted, from 1; all without. Only where the type is partial.
    part : sequence of int, optional
        Index from 0 and count: which part of these is made here, so that several processes share them, each with a
        folder of its own or the same. Where the type is not partial, the first part is all.
    moment : str
        When the work began, ``YYYYMMDDHHMMSS`` in the node's time zone; empty: the outputs do not say it.

    Returns
    -------
    dict
        ``written``: how many files were written here; ``count``: how many outputs there are if all are wanted.

    Raises
    ------
    CannotProcess
        Each subclass of it; `reasons.reason_for` has the codes.
    OSError
        A file cannot be read or written.
    """
    kind = find_type(type_name)
    values = check(kind.parameters, parameters)
    index, parts = part or (0, 1)
    if selection is not None and not kind.is_partial:
        raise UnusableParameters(f"{kind.name} makes all of its outputs, or none")
    if not is_valid_uid(workitem_uid):
        raise UnusableParameters("the work item has no UID")
    if index and not kind.is_partial:
        return {"written": 0, "count": 0}
    wanted = None if selection is None else frozenset(selection)
    share = (index, parts if kind.is_partial else 1)
    with _refusing(kind):
        sources = usable_sources(kind, read_sources(Path(inputs)))
        task = Task(kind, sources, values, workitem_uid, Path(outputs), wanted, share, moment)
        _function(kind.function)(task)
    return {"written": task.written, "count": task.count}


@contextmanager
def _refusing(kind: ProcessingType) -> Iterator[None]:
    """Make of what decoding and memory limits raise a reason why these objects cannot be processed."""
    try:
        yield
    except MemoryError:
        raise TooLargeToProcess(f"{kind.name} needs more memory for these objects than is allowed") from None
    except ModuleNotFoundError as error:
        extra = "itk" if error.name == "SimpleITK" else "imaging"
        raise CannotProcess(f"{kind.name} needs {error.name}: install the extra '{extra}'") from error
    except (CannotRender, CannotTranscode, NotImplementedError) as error:  # the last of pydicom: a VR that is none
        raise ObjectNotReadable(str(error)) from error
    except TransferSyntaxNotSupported as error:
        raise ObjectTypeNotSupported(str(error)) from error


def usable_sources(kind: ProcessingType, sources: list[Source]) -> list[Source]:
    """Return the images among objects; reports, presentation states and what else has no pixels is passed over.

    Raises
    ------
    MixedObjectSet
        They are of several patients, or of several series where one is processed.
    ObjectTypeNotSupported
        There is no image, or one of a modality that the type does not take.
    """
    if len({source.patient for source in sources}) > 1:
        raise MixedObjectSet("the objects are of several patients")
    if len({source.sop_instance_uid for source in sources}) < len(sources):
        raise MixedObjectSet("an instance is there twice")
    images = [source for source in sources if source.is_image]
    if not images:
        raise ObjectTypeNotSupported("there is no image among the objects")
    others = sorted({source.modality for source in images} - set(kind.modalities)) if kind.modalities else []
    if others:
        taken = ", ".join(kind.modalities)
        raise ObjectTypeNotSupported(f"{kind.name} takes images of {taken}, and not of {', '.join(others)}")
    series = {source.series_instance_uid for source in images}
    if kind.scope == "series" and len(series) > 1:
        raise MixedObjectSet(f"{kind.name} takes one series at a time, and there are {len(series)}")
    return images


def _function(name: str) -> Callable[[Task], None]:
    module_name, _, function_name = name.partition(":")
    return getattr(importlib.import_module(module_name), function_name)
