"""The pixels of all images that were compressed here are compared with what they were, and brought back."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from medserver import archive
from medserver.archive import PixelCheck
from medserver.node import Node
from medserver.safekeeping.presence import require_present

_PAGE = 100


def verify_all_pixels(node: Node) -> Iterator[PixelCheck]:
    """Verify the pixels of every compressed image that is stored and has the digest of its original's pixels.

    As many at a time as there are worker processes.

    Parameters
    ----------
    node : Node
        Where they are stored.

    Yields
    ------
    PixelCheck
        Of each.

    Raises
    ------
    OutOfResources, StoreFailure, IndexFailure
        The primary volume is away or full, or the index does not work.
    """
    require_present(node.primary_volume)
    forms = node.index.forms.all()
    with ThreadPoolExecutor(node.transcoder.workers.count) as threads:
        while page := list(islice(forms, _PAGE)):
            checks = threads.map(lambda form: archive.verify_pixels(node, form), page)
            yield from (check for check in checks if check is not None)
