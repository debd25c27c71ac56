"""Pictures of what is stored or lies in files: decoded, rendered and written by worker processes.

What is compressed is decoded by `codecs` first. No bytes of a peer's are looked into by the process that asks.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfileobj
from typing import Any, BinaryIO, Literal, Protocol

from medserver.codecs import Workers, transcode
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from medserver.errors import CannotRender
from medserver.imaging.messages import as_json
from medserver.imaging.options import Rendering

Format = Literal["png", "jpeg"]

_JOB = "medserver.imaging.job:write_picture"
_READ = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)


class Source(Protocol):
    """A data set, in a file or stored.

    Attributes
    ----------
    transfer_syntax_uid : str
        What it is in.
    size_bytes : int
        Its length.
    open_data_set : callable
        Returns a context manager with a binary file at its first byte.
    """

    transfer_syntax_uid: str
    size_bytes: int
    open_data_set: Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a file that has no name.

    Parameters
    ----------
    descriptor : int
        The file. It is the maker's to close.
    rows, columns : int
        Its size.
    samples_per_pixel : int
        1 of gray, 3 of colours.
    bits : int
        Of a sample.
    """

    descriptor: int
    rows: int
    columns: int
    samples_per_pixel: int
    bits: int


@contextmanager
def render_picture(
    source: Source,
    frame_index: int,
    options: Rendering,
    workers: Workers,
    directory: str | Path | None = None,
    *,
    state: Source | None = None,
    name: Format = "png",
    quality: int = 90,
) -> Iterator[Picture]:
    """Render a frame and write it as a picture, in a worker process.

    Parameters
    ----------
    source : Source
        The image.
    frame_index : int
        From 0.
    options : Rendering
        What is asked for, without a presentation state.
    workers : Workers
        Who does it.
    directory : str or Path, optional
        Where temporary files are made, which have no name; by default where the system has them.
    state : Source, optional
        A presentation state.
    name : str
        ``png`` or ``jpeg``.
    quality : int
        Of a JPEG, 1 to 100.

    Yields
    ------
    Picture
        Which is gone when the context is left.

    Raises
    ------
    CannotRender
        It cannot be shown, or not so.
    CannotTranscode, TransferSyntaxNotSupported, OutOfResources, DamagedObject, StoreFailure
        It cannot be read or decoded.
    """
    directory = os.fspath(directory or tempfile.gettempdir())
    with ExitStack() as files:
        image_file, *image_at = files.enter_context(_native(source, workers, directory))
        descriptors, state_at = [image_file], None
        output = files.enter_context(tempfile.TemporaryFile(dir=directory))
        descriptors.append(output.fileno())
        if state is not None:
            state_file, *state_at = files.enter_context(_native(state, workers, directory))
            descriptors.append(state_file)
        arguments = (image_at, state_at, frame_index, as_json(options), name, quality)
        yield Picture(output.fileno(), *_checked(workers.run(_JOB, *arguments, files=descriptors)))


@contextmanager
def _native(source: Source, workers: Workers, directory: str) -> Iterator[tuple[int, int, int, str]]:
    """Give a file with native pixels in little endian order: descriptor, offset, length and Transfer Syntax UID."""
    with source.open_data_set() as stream:
        if source.transfer_syntax_uid not in _READ:
            how = (source.transfer_syntax_uid, EXPLICIT_VR_LITTLE_ENDIAN, workers, directory)
            with transcode(stream, source.size_bytes, *how) as decoded:
                yield decoded.descriptor, 0, decoded.size_bytes, EXPLICIT_VR_LITTLE_ENDIAN
            return
        with tempfile.TemporaryFile(dir=directory) as copied:
            copyfileobj(stream, copied, 1024 * 1024)  # to the end: what is stored is checked on the way
            copied.flush()
            yield copied.fileno(), 0, min(copied.tell(), source.size_bytes), source.transfer_syntax_uid


def _checked(answer: Any) -> list[int]:
    """Return what a worker process says of a picture. Hostile data may have taken it over."""
    if not isinstance(answer, list) or len(answer) != 4 or not all(type(each) is int for each in answer):
        raise CannotRender("the worker process gave no proper answer")
    return answer
