"""``medserver render``: show an image as it is seen, as a PNG or JPEG file."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from shutil import copyfileobj
from typing import TYPE_CHECKING, Any

import click

from medserver.cli.invocation import Invocation, echo_json, json_option, pass_invocation
from medserver.cli.parameters import NamedPath
from medserver.cli.text import count_in_words, printable
from medserver.errors import BadUsage
from medserver.imaging.options import (
    FUNCTIONS,
    INTERPOLATIONS,
    PixelRange,
    Rendering,
    StoredLut,
    StoredWindow,
    Text,
    Window,
)

if TYPE_CHECKING:
    from medserver.codecs import Workers
    from medserver.imaging.pictures import Source

_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
_CORNERS = ("top left", "top right", "bottom left", "bottom right")


class _Window(click.ParamType):
    """CENTER,WIDTH or CENTER,WIDTH,FUNCTION."""

    name = "window"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Window:
        """Return the window."""
        center, _, rest = str(value).partition(",")
        width, _, function = rest.partition(",")
        function = (function or "LINEAR").upper().replace("-", "_")
        try:
            window = Window(float(center), float(width), function)
        except ValueError:
            self.fail(f"{value!r} is not CENTER,WIDTH, such as 40,400.", param, ctx)
        if function not in FUNCTIONS:
            self.fail(f"{function!r} is none of {', '.join(FUNCTIONS)}.", param, ctx)
        return window


class _Size(click.ParamType):
    """ROWSxCOLUMNS."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return rows and columns."""
        found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", str(value))
        if found is None or not (int(found[1]) and int(found[2])):
            self.fail(f"{value!r} is not ROWSxCOLUMNS, such as 512x512.", param, ctx)
        return int(found[1]), int(found[2])


class _Text(click.ParamType):
    """CORNER=TEXT."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Text:
        """Return the text."""
        corner, equals, text = str(value).partition("=")
        corner = corner.strip().replace("-", " ")
        if not equals or corner not in _CORNERS:
            self.fail(f"{value!r} does not begin with one of {', '.join(_CORNERS)}, and =.", param, ctx)
        return Text(corner, tuple(text.split("\n")))


@click.command()
@click.argument("source", metavar="FILE|UID")
@click.option("-o", "--output", type=NamedPath(dir_okay=False), required=True, help="The picture: .png, .jpg or .jpeg.")
@click.option("--frame", type=click.IntRange(min=1), default=1, help="Of several frames which one; default: the first.")
@click.option("--window", type=_Window(), metavar="CENTER,WIDTH[,FUNCTION]", help="Instead of the image's window.")
@click.option("--stored-window", type=click.IntRange(min=1), metavar="NUMBER", help="Which of the image's windows.")
@click.option("--stored-lut", type=click.IntRange(min=1), metavar="NUMBER", help="Which of its VOI LUT tables.")
@click.option("--pixel-range", is_flag=True, help="From the least to the greatest pixel.")
@click.option("--state", metavar="FILE|UID", help="A presentation state that refers to the image.")
@click.option("--size", type=_Size(), metavar="ROWSxCOLUMNS", help="As large as fits in it.")
@click.option("--interpolation", type=click.Choice(INTERPOLATIONS), default="linear", help="How it is scaled.")
@click.option("--bits", type=click.Choice(["8", "16"]), default="8", help="Of a sample; 16 for gray PNG files only.")
@click.option("--quality", type=click.IntRange(1, 100), default=90, help="Of a JPEG file.")
@click.option("--invert", is_flag=True, help="Reverse the polarity.")
@click.option("--plain", is_flag=True, help="Without overlays, shutters and annotations.")
@click.option("--original-pixels", is_flag=True, help="Leave pixels that are not square as they are.")
@click.option("--markers", is_flag=True, help="Write R, L, A, P, H, F at the edges.")
@click.option("--text", "texts", type=_Text(), multiple=True, metavar="CORNER=TEXT", help="May be repeated.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there already.")
@json_option
@pass_invocation
def command(invocation: Invocation, source: str, output: Path, overwrite: bool, as_json: bool, **given: Any) -> None:
    """Render FILE, or the instance UID of this node, as it is seen, and write it to a PNG or JPEG file.

    The image's first window is used, else its first VOI LUT table, else the range of its pixels; or what a presentation
    state says.

    For example: medserver render image.dcm -o image.png --window 40,400 --size 512x512 --markers
    """
    name = _FORMATS.get(output.suffix.lower())
    if name is None:
        raise BadUsage(f"{printable(str(output))} does not end with {', '.join(_FORMATS)}")
    if output.exists() and not overwrite:
        raise BadUsage(f"{printable(str(output))} is there already")
    options = _options(given)
    from medserver.imaging.pictures import render_picture  # --help does without

    with ExitStack() as opened:
        image, workers = opened.enter_context(_opened(invocation, source))
        state = opened.enter_context(_opened(invocation, given["state"]))[0] if given["state"] else None
        how = {"state": state, "name": name, "quality": given["quality"]}
        picture = opened.enter_context(render_picture(image, given["frame"] - 1, options, workers, **how))
        _write(output, picture.descriptor)
    if as_json:
        keys = ("rows", "columns", "samples_per_pixel", "bits")
        echo_json({"file": str(output)} | {key: getattr(picture, key) for key in keys})
        return
    kind = "colour" if picture.samples_per_pixel == 3 else "gray"
    size = f"{picture.rows} rows, {picture.columns} columns"
    click.echo(f"wrote {printable(str(output))}: {size}, {picture.bits} bits, {kind}")


def _options(given: dict[str, Any]) -> Rendering:
    """Return what the options ask for.

    Raises
    ------
    BadUsage
        There are several VOI LUTs.
    """
    asked = [
        given["window"],
        given["stored_window"] and StoredWindow(given["stored_window"]),
        given["stored_lut"] and StoredLut(given["stored_lut"]),
        given["pixel_range"] and PixelRange(),
    ]
    wanted = [one for one in asked if one]
    if len(wanted) > 1:
        raise BadUsage("say one of --window, --stored-window, --stored-lut and --pixel-range")
    return Rendering(
        voi=wanted[0] if wanted else None,
        bits=int(given["bits"]),
        is_inverted=given["invert"],
        overlays=not given["plain"],
        shutters=not given["plain"],
        annotations=not given["plain"],
        markers=given["markers"],
        texts=given["texts"],
        size=given["size"],
        interpolation=given["interpolation"],
        square_pixels=not given["original_pixels"],
    )


@contextmanager
def _opened(invocation: Invocation, source: str) -> Iterator[tuple[Source, Workers]]:
    """Give the data set of a file, or of an instance of this node, and worker processes.

    Raises
    ------
    BadUsage
        It is neither, or there are several.
    NoSuchInstance
        The node has no such instance.
    """
    from medserver.dicom.uids import is_valid_uid

    if os.path.exists(source) or not is_valid_uid(source):
        yield from _of_file(Path(source))
    else:
        yield from _of_node(invocation, source)


def _of_file(path: Path) -> Iterator[tuple[Source, Workers]]:
    from medserver.codecs import Workers
    from medserver.scu.files import find_instances

    with ExitStack() as archives:
        found = list(find_instances([path], archives))
        instances = [one.outgoing for one in found if one.outgoing]
        if len(instances) != 1:
            problem = next((one.problem or one.skipped for one in found), "nothing is there")
            several = f"has {count_in_words(len(instances), 'instance')}, of which one is rendered at a time"
            raise BadUsage(f"{printable(str(path))}{' ' + several if instances else ': ' + printable(problem)}")
        with Workers(1) as workers:
            yield instances[0], workers


def _of_node(invocation: Invocation, uid: str) -> Iterator[tuple[Source, Workers]]:
    from medserver.archive import open_data_set
    from medserver.cli.instances import instances_of
    from medserver.node import open_node
    from medserver.scu.storage import Outgoing

    with closing(open_node(invocation.config_file)) as node:
        instances = instances_of(node, uid)
        if len(instances) != 1:
            several = count_in_words(len(instances), "instance")
            raise BadUsage(f"{uid} has {several}, of which one is rendered at a time")
        [stored] = instances
        what = (stored.sop_class_uid, stored.sop_instance_uid, stored.transfer_syntax_uid, stored.size_bytes)
        yield Outgoing(*what, lambda: closing(open_data_set(node, stored))), node.transcoder.workers


def _write(path: Path, descriptor: int) -> None:
    """Write a file; it is there when it is complete, or not at all."""
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.part")
    try:
        with open(descriptor, "rb", closefd=False) as picture, temporary.open("xb") as file:
            picture.seek(0)
            copyfileobj(picture, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
