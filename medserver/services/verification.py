"""Verification as SCP (PS3.4 A.4)."""

from __future__ import annotations

from medserver.node import Node
from medserver.services.request import Request, Response


def echo(request: Request, node: Node) -> Response:
    """Answer a C-ECHO: the node is here and can answer."""
    return Response()
