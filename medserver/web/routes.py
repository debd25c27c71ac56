"""The resources, and what can be done with each: one row a transaction, from which everything else is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from medserver.node import Node
from medserver.web import frames, rendered, retrieve, search_results, store, uri, workitems
from medserver.web.request import Answer, Request

Handler = Callable[[Request, Node], Answer]

_STUDY, _SERIES, _INSTANCE = "/studies/{study}", "/series/{series}", "/instances/{instance}"
_WORKITEM = "/workitems/{workitem}"
_SUBSCRIBER = _WORKITEM + "/subscribers/{aetitle}"
_ONE = _STUDY + _SERIES + _INSTANCE


@dataclass(frozen=True, slots=True)
class Route:
    """One transaction of one resource.

    Parameters
    ----------
    method : str
        GET, POST and so on.
    template : str
        Of the path, behind the root of the service (PS3.18 8.2).
    right : str
        What the principal needs, see `medserver.identity.rights`.
    handler : callable
        Performs it.
    name : str
        What the standard calls it.
    clause : str
        Where it is defined.
    """

    method: str
    template: str
    right: str
    handler: Handler
    name: str
    clause: str


def _search(level: str, *templates: str) -> tuple[Route, ...]:
    handler = partial(search_results.answer, level)
    return tuple(Route("GET", each, "find", handler, "Search", "PS3.18 10.6") for each in templates)


def _retrieve(handler: Handler, suffix: str, name: str) -> tuple[Route, ...]:
    resources = (_STUDY, _STUDY + _SERIES, _STUDY + _SERIES + _INSTANCE)
    return tuple(Route("GET", each + suffix, "get", handler, name, "PS3.18 10.4") for each in resources)


def _named(method: str, suffix: str, handler: Handler, name: str, clause: str) -> tuple[Route, ...]:
    """Return the routes of a transaction: that of the standard, and that of user agents that name themselves."""
    resources = (_WORKITEM + suffix, _WORKITEM + suffix + "/{requester}")
    return tuple(Route(method, each, "process", handler, name, clause) for each in resources)


ROUTES: tuple[Route, ...] = (
    *_search("STUDY", "/studies"),
    *_search("SERIES", _STUDY + "/series", "/series"),
    *_search("IMAGE", _STUDY + _SERIES + "/instances", _STUDY + "/instances", "/instances"),
    *_retrieve(retrieve.retrieve, "", "Retrieve"),
    *_retrieve(retrieve.metadata, "/metadata", "Retrieve Metadata"),
    Route("GET", _ONE + "/frames/{frames}", "get", frames.frames, "Retrieve Frames", "PS3.18 10.4"),
    Route("GET", _ONE + "/bulkdata/{tag}", "get", frames.bulk_data, "Retrieve Bulkdata", "PS3.18 10.4"),
    Route("GET", _ONE + "/rendered", "get", rendered.rendered, "Retrieve Rendered", "PS3.18 10.4"),
    Route("GET", _ONE + "/frames/{frames}/rendered", "get", rendered.rendered, "Retrieve Rendered", "PS3.18 10.4"),
    *_retrieve(rendered.thumbnail, "/thumbnail", "Retrieve Thumbnail"),
    Route("GET", _ONE + "/frames/{frames}/thumbnail", "get", rendered.thumbnail, "Retrieve Thumbnail", "PS3.18 10.4"),
    Route("GET", "/wado", "get", uri.retrieve_by_uri, "Retrieve (URI)", "PS3.18 9.4"),
    Route("POST", "/workitems", "process", workitems.create, "Create Workitem", "PS3.18 11.4"),
    Route("GET", "/workitems", "process", workitems.search, "Search Workitems", "PS3.18 11.9"),
    Route("GET", _WORKITEM, "process", workitems.retrieve, "Retrieve Workitem", "PS3.18 11.5"),
    Route("POST", _WORKITEM, "process", workitems.modify, "Update Workitem", "PS3.18 11.6"),
    *_named("PUT", "/state", workitems.set_state, "Change Workitem State", "PS3.18 11.7"),
    *_named("POST", "/cancelrequest", workitems.cancel, "Request Cancellation", "PS3.18 11.8"),
    Route("POST", _SUBSCRIBER, "process", workitems.subscribe, "Subscribe", "PS3.18 11.10"),
    Route("DELETE", _SUBSCRIBER, "process", workitems.unsubscribe, "Unsubscribe", "PS3.18 11.11"),
    Route("POST", _SUBSCRIBER + "/suspend", "process", workitems.suspend, "Suspend Subscription", "PS3.18 11.12"),
    Route("POST", "/studies", "store", store.store, "Store", "PS3.18 10.5"),
    Route("POST", _STUDY, "store", store.store, "Store", "PS3.18 10.5"),
)
