"""What a rendering is asked for: window, presentation state, size, what is drawn over the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Function = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
Interpolation = Literal["nearest", "linear", "cubic"]
Corner = Literal["top left", "top right", "bottom left", "bottom right"]

FUNCTIONS: tuple[Function, ...] = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
INTERPOLATIONS: tuple[Interpolation, ...] = ("nearest", "linear", "cubic")


@dataclass(frozen=True, slots=True)
class Window:
    """A window.

    Parameters
    ----------
    center, width : float
        In the unit of what the modality LUT gives, such as HU.
    function : str
        VOI LUT Function (0028,1056).

    References
    ----------
    PS3.3 C.11.2.1.2, PS3.3 C.11.2.1.3
    """

    center: float
    width: float
    function: Function = "LINEAR"


@dataclass(frozen=True, slots=True)
class StoredWindow:
    """A window of the image.

    Parameters
    ----------
    number : int
        Which of them, from 1.
    """

    number: int = 1


@dataclass(frozen=True, slots=True)
class StoredLut:
    """A table of the image's VOI LUT Sequence.

    Parameters
    ----------
    number : int
        Which of them, from 1.
    """

    number: int = 1


@dataclass(frozen=True, slots=True)
class PixelRange:
    """A window from the least to the greatest pixel, without padding."""


@dataclass(frozen=True, slots=True)
class Text:
    """Lines of text in a corner.

    Parameters
    ----------
    corner : str
        Where.
    lines : tuple of str
        From top to bottom.
    """

    corner: Corner
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rendering:
    """How an image is rendered. Without anything it is as the object says, with one pixel for each of its own.

    Parameters
    ----------
    voi : Window, StoredWindow, StoredLut or PixelRange, optional
        What takes the place of the presentation state's VOI LUT, and of the image's. None: that of the presentation
        state; without one the image's first window, else its first VOI LUT, else what `gray.voi` takes.
    presentation_state : Dataset, optional
        A Softcopy Presentation State that refers to the image.
    bits : int
        Of a sample of the result: 8, or 16 for P-values.
    is_inverted : bool
        Reverse the polarity once more.
    overlays, shutters, annotations : bool
        Whether these are drawn, where image or presentation state have them. Annotations are those of the
        presentation state.
    markers : bool
        Whether letters at the edges say where left, right, head and so on are.
    texts : tuple of Text
        What else is written over the pixels.
    size : tuple of int, (rows, columns), optional
        The image is made as large as fits in it, in its proportions. None: not scaled.
    interpolation : str
        How it is scaled.
    square_pixels : bool
        Whether pixels that are not square are scaled to be.
    """

    voi: Window | StoredWindow | StoredLut | PixelRange | None = None
    presentation_state: Dataset | None = None
    bits: Literal[8, 16] = 8
    is_inverted: bool = False
    overlays: bool = True
    shutters: bool = True
    annotations: bool = True
    markers: bool = False
    texts: tuple[Text, ...] = ()
    size: tuple[int, int] | None = None
    interpolation: Interpolation = "linear"
    square_pixels: bool = True
