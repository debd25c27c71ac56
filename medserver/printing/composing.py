"""What a worker process makes of a film: it reads the film's images from one file, and writes into another."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from medserver.node import Node
from medserver.printing.film import Film
from medserver.printing.images import GatheredImage


@contextmanager
def composed(
    node: Node, function: str, film: Film, images_file: IO[bytes], images: Sequence[GatheredImage], *more: Any
) -> Iterator[tuple[IO[bytes], Any]]:
    """Have a function of `job` work on a film; give what it has written, and what it returned.

    Parameters
    ----------
    node : Node
        Whose worker processes do it.
    function : str
        Its name in `job`.
    film : Film
        What is printed.
    images_file, images
        As `images.gathered_images` gives them.
    *more
        What else the function takes, of what JSON can hold.

    Yields
    ------
    tuple of (file, object)
        A file without a name at its beginning, and what the function returned.

    Raises
    ------
    CannotRender, CannotTranscode, OutOfResources
        It cannot be made.
    """
    listed = [each.as_json() for each in images]
    with tempfile.TemporaryFile(dir=node.config.current.node.data) as output:
        files = (images_file.fileno(), output.fileno())
        name = f"medserver.printing.job:{function}"
        made = node.processors.run(name, film.as_text(), listed, *more, files=files)
        output.seek(0)
        yield output, made
