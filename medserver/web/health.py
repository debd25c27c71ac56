"""Whether the node lives and can serve: what balancers and monitoring ask, without a token and without patient data."""

from __future__ import annotations

from medserver.errors import MedserverError
from medserver.node import Node


def problems_of(node: Node) -> list[str]:
    """Return why the node cannot serve now; nothing if it can.

    What is told names parts of the node and no paths, addresses or people.
    """
    problems = []
    try:
        node.index.check_available()
        node.index.is_outdated()
    except MedserverError:
        problems.append("the index does not answer")
    node.primary_volume.look()
    if not node.primary_volume.condition().is_present:
        problems.append("the primary volume is not there")
    return problems
