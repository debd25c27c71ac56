"""WADO-URI (PS3.18 9): one instance by the parameters of a query. It is asked for as WADO-RS is, and served by that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from medserver.errors import BadRequest
from medserver.node import Node
from medserver.web.rendered import SIDE_MAX, rendered
from medserver.web.request import Answer, Request
from medserver.web.retrieve import retrieve

DICOM = "application/dicom"

UIDS: Mapping[str, str] = MappingProxyType({"studyUID": "study", "seriesUID": "series", "objectUID": "instance"})
"""Parameter (PS3.18 9.1.2.1.1) -> its name in the templates of WADO-RS."""

REFUSED = ("anonymize", "presentationUID", "presentationSeriesUID", "region")
"""What would come otherwise than it is asked for."""

OF_PICTURES = ("frameNumber", "rows", "columns", "windowCenter", "windowWidth", "imageQuality")


def retrieve_by_uri(request: Request, node: Node) -> Answer:
    """Send an instance, or a picture of it.

    Raises
    ------
    BadRequest
        A parameter is missing, has a value that is not one of it, or asks for what is not done.
    NoSuchInstance, NoSuchFrames, NotAcceptable, CannotRender
        As `retrieve.retrieve` and `rendered.rendered`.
    """
    if request.parameter("requesttype") != "WADO":
        raise BadRequest("requestType is WADO")
    if refused := [name for name in REFUSED if _given(request, name)]:
        raise BadRequest(f"{', '.join(refused)}: not supported")
    path = {template: _needed(request, name) for name, template in UIDS.items()}
    wanted = _given(request, "contentType") or "image/jpeg"
    if wanted.partition(";")[0].strip().lower() == DICOM:
        return retrieve(_as_instance(request, path), node)
    return rendered(_as_picture(request, path, wanted), node)


def _as_instance(request: Request, path: Mapping[str, str]) -> Request:
    if unfit := [name for name in OF_PICTURES if _given(request, name)]:
        raise BadRequest(f"{', '.join(unfit)}: not of {DICOM}")
    syntax = _given(request, "transferSyntax")
    accept = f"{DICOM}; transfer-syntax={syntax}" if syntax else DICOM
    return replace(request, path=path, parameters=(), headers={**request.headers, "accept": accept})


def _as_picture(request: Request, path: Mapping[str, str], accept: str) -> Request:
    if _given(request, "transferSyntax"):
        raise BadRequest(f"transferSyntax is of {DICOM} alone")
    parameters = {}
    rows, columns = _given(request, "rows"), _given(request, "columns")
    if rows or columns:  # with one of them the other one follows from the image
        parameters["viewport"] = f"{columns or SIDE_MAX},{rows or SIDE_MAX}"
    center, width = _given(request, "windowCenter"), _given(request, "windowWidth")
    if bool(center) != bool(width):
        raise BadRequest("windowCenter and windowWidth go together")
    if center:
        parameters["window"] = f"{center},{width},linear"
    if quality := _given(request, "imageQuality"):
        parameters["quality"] = quality
    frame = {"frames": _given(request, "frameNumber") or "1"}
    headers = {**request.headers, "accept": accept}
    return replace(request, path={**path, **frame}, parameters=tuple(parameters.items()), headers=headers)


def _given(request: Request, name: str) -> str:
    return request.parameter(name.lower()) or ""


def _needed(request: Request, name: str) -> str:
    value = _given(request, name)
    if not value:
        raise BadRequest(f"{name} is missing")
    return value
