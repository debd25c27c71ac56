"""The table of the types of processing. Each row's function is in a module of this package with its name."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Literal, cast

from medserver.config import CommandType, Config
from medserver.errors import UnknownProcessingType
from medserver.processing.parameters import Parameter

Scope = Literal["frame", "instance", "series", "study"]

PLUG_INS = "medserver.processing"
"""The group of entry points whose objects are further types."""


@dataclass(frozen=True, slots=True)
class ProcessingType:
    """One type of processing.

    Parameters
    ----------
    name : str
        The code value of its Scheduled Workitem Code, in the scheme 99MEDSERVER; at most 16 characters.
    meaning : str
        The code meaning; at most 64 characters.
    version : str
        Another one once the same request gives other pixels.
    parameters : tuple of Parameter
        What can be said of how it works.
    scope : str
        What is processed together: each ``frame`` or ``instance`` for itself, whatever series they are of; all images
        of one ``series``; a ``study``.
    modalities : tuple of str
        Of the images that it takes; empty: any.
    makes : str
        What it makes, in words.
    is_partial : bool
        It computes only those outputs that are asked for, and can share them with other processes.
    function : str
        What does it, ``module:function``: called with a `task.Task` in a worker process. Empty: `command` does.
    command : CommandType, optional
        The external program that does it.
    shows_frames : bool
        It takes a series, but each frame of it for itself.
    """

    name: str
    meaning: str
    version: str
    parameters: tuple[Parameter, ...]
    scope: Scope
    modalities: tuple[str, ...]
    makes: str
    is_partial: bool
    function: str
    command: CommandType | None = None
    shows_frames: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether a module of this package does it, which is known to change none of its inputs."""
        return self.command is None and self.function.startswith(f"{__name__}.")

    @property
    def takes_frames(self) -> bool:
        """Whether it can do with some frames of an instance; an external program is given whole instances."""
        return self.command is None and (self.shows_frames or self.scope in ("frame", "instance"))


_PROJECTIONS = ("CR", "DX", "MG", "RG", "IO", "PX", "OT")
"""Radiographs and digitized film."""

YES_OR_NO = ("yes", "no")
_WINDOW = Parameter("window", "Window Center and Width; else the source's", "number", count=2)
_WINDOW_OF_RESULT = Parameter("window", "Window Center and Width of the result", "number", count=2)

TYPES: tuple[ProcessingType, ...] = (
    ProcessingType(
        name="adc",
        meaning="Apparent diffusion coefficients",
        version="1",
        parameters=(_WINDOW_OF_RESULT,),
        scope="series",
        modalities=("MR",),
        makes="a map in 10^-6 mm2/s for each slice that was acquired with two b-values or more",
        is_partial=True,
        function="medserver.processing.types.adc:adc",
    ),
    ProcessingType(
        name="capture",
        meaning="Secondary capture",
        version="1",
        parameters=(
            _WINDOW,
            Parameter("size", "Rows and columns at most; else the source's", "integer", "{pixels}", None, 16, 8192),
            Parameter("patient", "Patient, study and series are written in", "choice", default="no", choices=YES_OR_NO),
            Parameter("text", "Lines that are written in, with | between them", "text"),
            Parameter("markers", "Letters of the directions are written in", "choice", default="no", choices=YES_OR_NO),
        ),
        scope="frame",
        modalities=(),
        makes="a secondary capture of each frame, 8 bits or RGB, as it is seen, with annotations burned in",
        is_partial=True,
        function="medserver.processing.types.capture:capture",
    ),
    ProcessingType(
        name="compress",
        meaning="Lossy compression",
        version="1",
        parameters=(Parameter("ratio", "How much shorter the pixels become", "number", "1", 10, 2, 100),),
        scope="instance",
        modalities=(),
        makes="an instance for each instance, of the same SOP Class, in JPEG 2000 with loss, which says so",
        is_partial=True,
        function="medserver.processing.types.compress:compress",
    ),
    ProcessingType(
        name="contrast",
        meaning="Contrast enhancement of radiographs",
        version="1",
        parameters=(
            Parameter("method", "Method", "choice", default="multiscale", choices=("multiscale", "clahe")),
            Parameter("strength", "How much multiscale amplifies weak details", "number", "1", 0.5, 0, 1),
            Parameter("clip", "Clip limit of CLAHE", "number", "1", 0.01, 0.0001, 1),
            Parameter("tiles", "Tiles of CLAHE along each side", "integer", "1", 8, 1, 64),
        ),
        scope="frame",
        modalities=_PROJECTIONS,
        makes="an instance for each grayscale instance, of the same SOP Class, with more visible contrast",
        is_partial=True,
        function="medserver.processing.types.contrast:contrast",
    ),
    ProcessingType(
        name="copy",
        meaning="Copy of images as a new series",
        version="1",
        parameters=(),
        scope="instance",
        modalities=(),
        makes="an instance for each instance, with the same pixels: shows that rules, notification and delivery work",
        is_partial=True,
        function="medserver.processing.types.copy:copy",
    ),
    ProcessingType(
        name="denoise",
        meaning="Reduction of noise",
        version="2",
        parameters=(
            Parameter(
                "method", "Filter", "choice", default="gaussian",
                choices=("gaussian", "median", "nl-means", "total-variation"),
            ),
            Parameter("sigma", "Standard deviation of the Gaussian", "number", "{pixels}", 1.0, 0.1, 20),
            Parameter("size", "Side of the window of the median, odd", "integer", "{pixels}", 3, 3, 15),
            Parameter(
                "strength", "Strength of nl-means, total-variation: standard deviations", "number",
                default=0.8, minimum=0.05, maximum=10,
            ),
            Parameter("patch", "Side of the patches that nl-means compares, odd", "integer", "{pixels}", 5, 3, 15),
            Parameter("distance", "How far nl-means looks for like patches", "integer", "{pixels}", 6, 1, 21),
        ),
        scope="frame",
        modalities=(),
        makes="an instance for each grayscale instance, of the same SOP Class, with less noise",
        is_partial=True,
        function="medserver.processing.types.denoise:denoise",
    ),
    ProcessingType(
        name="montage",
        meaning="Montage",
        version="1",
        parameters=(
            _WINDOW,
            Parameter("down", "Pictures below each other", "integer", "1", 4, 1, 20),
            Parameter("across", "Pictures beside each other", "integer", "1", 5, 1, 20),
            Parameter("size", "Rows and columns of a picture", "integer", "{pixels}", 256, 32, 2048),
            Parameter("step", "Every which frame is shown", "integer", "1", 1, 1, 1000),
            Parameter("markers", "Letters of the directions are written in", "choice", default="no", choices=YES_OR_NO),
        ),
        scope="series",
        modalities=(),
        makes="secondary captures that each show many frames of a series",
        is_partial=True,
        function="medserver.processing.types.montage:montage",
        shows_frames=True,
    ),
    ProcessingType(
        name="multiframe",
        meaning="Enhanced multi-frame conversion",
        version="1",
        parameters=(),
        scope="series",
        modalities=("CT", "MR", "PT"),
        makes="one Legacy Converted Enhanced object with all slices of a series as its frames",
        is_partial=False,
        function="medserver.processing.types.multiframe:multiframe",
    ),
    ProcessingType(
        name="reformat",
        meaning="Multiplanar reformatting",
        version="1",
        parameters=(
            Parameter(
                "orientation", "Orientation of the planes", "choice", default="coronal",
                choices=("axial", "coronal", "sagittal", "oblique"),
            ),
            Parameter(
                "directions", "Cosines of rows, then columns, of oblique planes", "number", count=6,
                minimum=-1, maximum=1,
            ),
            Parameter("interval", "Distance of planes; else of pixels", "number", "mm", None, 0.05, 500),
            Parameter("thickness", "Thickness of slabs; else thin planes", "number", "mm", None, 0.05, 500),
            Parameter("projection", "Projection of slabs", "choice", default="mean", choices=("mean", "max", "min")),
            Parameter("pixel_spacing", "Distance of pixels; else the source's", "number", "mm", None, 0.05, 50),
            Parameter("interpolation", "Interpolation", "choice", default="linear", choices=("linear", "nearest")),
            _WINDOW,
        ),
        scope="series",
        modalities=("CT", "MR", "PT"),
        makes="a series of planes through the volume, of the same SOP Class, in the same Frame of Reference",
        is_partial=True,
        function="medserver.processing.types.reformat:reformat",
    ),
    ProcessingType(
        name="register",
        meaning="Rigid registration",
        version="1",
        parameters=(
            Parameter("fixed", "Series that stays; else the one of the lower number", "text"),
            _WINDOW_OF_RESULT,
        ),
        scope="study",
        modalities=("CT", "MR", "PT"),
        makes="the slices of one series in the places of the other one, in its Frame of Reference",
        is_partial=False,
        function="medserver.processing.types.register:register",
    ),
    ProcessingType(
        name="resample",
        meaning="Spatial resampling",
        version="1",
        parameters=(
            Parameter("spacing", "Distance of pixels; else the least of the source", "number", "mm", None, 0.05, 50),
            Parameter("interval", "Distance of slices; else of pixels", "number", "mm", None, 0.05, 500),
            _WINDOW,
        ),
        scope="series",
        modalities=("CT", "MR", "PT"),
        makes="a series of parallel slices of the same volume, with voxels that are cubes or of the size asked for",
        is_partial=True,
        function="medserver.processing.types.resample:resample",
    ),
    ProcessingType(
        name="segment",
        meaning="Segmentation",
        version="1",
        parameters=(
            Parameter("method", "Method", "choice", default="threshold", choices=("threshold", "region")),
            Parameter("lower", "Lower threshold, in the unit of the modality", "number"),
            Parameter("upper", "Upper threshold, in the unit of the modality", "number"),
            Parameter("seed", "Place in the region, in the patient's coordinates", "number", "mm", count=3),
            Parameter("label", "Name of the segment", "text", default="Segment"),
            Parameter(
                "property", "What the segment is", "choice", default="tissue",
                choices=("tissue", "bone", "lung", "mass"),
            ),
        ),
        scope="series",
        modalities=("CT", "MR", "PT"),
        makes="a segmentation (SEG) with one segment",
        is_partial=False,
        function="medserver.processing.types.segment:segment",
    ),
    ProcessingType(
        name="sharpen",
        meaning="Edge enhancement",
        version="1",
        parameters=(
            Parameter("radius", "Standard deviation of the Gaussian", "number", "{pixels}", 2.0, 0.3, 50),
            Parameter("amount", "How much is added", "number", "1", 1.0, 0.05, 10),
            Parameter("threshold", "Details below it are left out", "number", "1", 0, 0, 65535),
        ),
        scope="frame",
        modalities=(),
        makes="an instance for each grayscale instance, of the same SOP Class, with sharper edges",
        is_partial=True,
        function="medserver.processing.types.sharpen:sharpen",
    ),
    ProcessingType(
        name="subtract",
        meaning="Subtraction",
        version="1",
        parameters=(
            Parameter("mask_frames", "Frames whose mean is the mask", "integer", "1", (1,), 1, 100_000, count=0),
            Parameter("mask", "Series that is the mask; else the earlier one", "text"),
            _WINDOW_OF_RESULT,
        ),
        scope="study",
        modalities=("XA", "XRF", "RF", "CT", "MR"),
        makes="angiographies without their mask, or the slices of one series minus those of another one",
        is_partial=True,
        function="medserver.processing.types.subtract:subtract",
    ),
    ProcessingType(
        name="suv",
        meaning="Standardized uptake values",
        version="1",
        parameters=(
            Parameter(
                "by", "What the uptake is related to", "choice", default="body-weight",
                choices=("body-weight", "lean-janma", "lean-james", "body-surface"),
            ),
            Parameter("weight", "Weight; else that in the header", "number", "kg", None, 0.3, 700),
            Parameter("height", "Height; else that in the header", "number", "m", None, 0.3, 2.8),
            Parameter("sex", "Sex; else that in the header", "choice", choices=("M", "F")),
            Parameter("dose", "Activity that was given; else that in the header", "number", "Bq", None, 1, 1e12),
            _WINDOW_OF_RESULT,
        ),
        scope="series",
        modalities=("PT",),
        makes="a PET slice for each, with the same stored values, in g/ml or cm2/ml",
        is_partial=True,
        function="medserver.processing.types.suv:suv",
    ),
)  # fmt: skip
"""By name."""


def find_type(name: str, config: Config | None = None) -> ProcessingType:
    """Return a type by its name.

    Parameters
    ----------
    name : str
        Its name.
    config : Config, optional
        As for `all_types`.

    Raises
    ------
    UnknownProcessingType
        There is none.
    """
    known = {kind.name: kind for kind in all_types(config)}
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, 1)
    guess = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    raise UnknownProcessingType(f"there is no type of processing {name[:32]!r}: {guess}")


def all_types(config: Config | None = None) -> tuple[ProcessingType, ...]:
    """Return all types by name: those of `TYPES`, of plug-ins, and of the configuration.

    Parameters
    ----------
    config : Config, optional
        Its types are there too. Without: those that worker processes can do.

    Returns
    -------
    tuple of ProcessingType
        Of two with the same name the first: ours, else that of a plug-in, else that of the configuration.
    """
    configured = () if config is None else (_configured(entry) for entry in config.types)
    known: dict[str, ProcessingType] = {}
    for kind in (*TYPES, *plug_ins(), *configured):
        known.setdefault(kind.name, kind)
    return tuple(known[name] for name in sorted(known))


@cache
def plug_ins() -> tuple[ProcessingType, ...]:
    """Return the types that installed distributions bring."""
    found = [point.load() for point in metadata.entry_points(group=PLUG_INS)]
    return tuple(kind for kind in found if isinstance(kind, ProcessingType))


def _configured(entry: CommandType) -> ProcessingType:
    """Return the type that an external program is: it makes all that it makes, and in one process."""
    return ProcessingType(
        name=entry.name,
        meaning=entry.meaning,
        version=entry.version,
        parameters=tuple(Parameter(name, **dict(fields)) for name, fields in entry.parameters),
        scope=cast(Scope, entry.scope),
        modalities=entry.modalities,
        makes=entry.makes,
        is_partial=False,
        function="",
        command=entry,
    )
