"""What an audit row costs on reception: processor time of objects received with and without, in alternated rounds."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

from medserver import archive
from medserver.audit import Actor
from medserver.config import ConfigFile
from medserver.node import Node, open_node
from medserver.trail.associations import Carried
from tests.services.corpus import Object, make_study


def measure(folder: Path, rounds: int = 9, count: int = 300) -> dict[str, float]:
    """Receive studies, each over an association of its own, and return microseconds of processor time an object.

    Parameters
    ----------
    folder : Path
        An empty folder.
    rounds, count : int
        How many rounds, of how many objects each, with and without.

    Returns
    -------
    dict of str to float
        ``without``, ``with`` (the audit trail) and ``percent``: the medians of the rounds, and of their ratios.
    """
    (folder / "config.ini").write_text(f"[node]\ndata = {folder / 'data'}\n")
    node = open_node(ConfigFile(folder / "config.ini"), receives=True)
    found: dict[bool, list[float]] = {False: [], True: []}
    try:
        for number in range(2 * rounds + 2):
            is_audited = number % 2 == 1
            cost = _receive(node, make_study(count, PixelData=bytes(8192)), is_audited)
            if number >= 2:  # the first of each makes what is made once
                found[is_audited].append(cost * 1e6 / count)
    finally:
        node.close()
    ratios = [more / less for less, more in zip(found[False], found[True], strict=True)]
    return {
        "without": statistics.median(found[False]),
        "with": statistics.median(found[True]),
        "percent": (statistics.median(ratios) - 1) * 100,
        "least_without": min(found[False]),
        "least_with": min(found[True]),
    }


def _receive(node: Node, objects: list[Object], is_audited: bool) -> float:
    carried = Carried(node, "bench", Actor("CT1", "192.0.2.7")) if is_audited else None
    data_sets = [each.data_set() for each in objects]
    begun = time.process_time()
    for each, data_set in zip(objects, data_sets, strict=True):
        with archive.receive(
            node,
            sop_class_uid=each.sop_class_uid,
            sop_instance_uid=each.sop_instance_uid,
            transfer_syntax_uid=each.transfer_syntax_uid,
            calling_ae_title="CT1",
            **({"transfer": carried.begin()} if carried else {}),
        ) as reception:
            reception.take([data_set])
    if carried:
        carried.end()
    return time.process_time() - begun
