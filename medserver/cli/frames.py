"""Frames of an image, as an option of the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from medserver.dicom.frame_lists import FrameKeys, parse_frames
from medserver.errors import BadUsage


def frames_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--frames``; it receives `FrameKeys` or None as `frames`."""

    def parse(_: click.Context, __: click.Parameter, text: str | None) -> FrameKeys | None:
        try:
            return parse_frames(text) if text is not None else None
        except ValueError as error:
            raise BadUsage(f"--frames: {error}") from None

    return click.option(
        "--frames",
        metavar="LIST",
        callback=parse,
        help="Only these frames of one image, as a new instance: 1,5-9 or 20- to the end.",
    )(function)
