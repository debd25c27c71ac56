"""The application (ASGI): from a request to its handler and back, the one dispatch and the one error boundary."""

from __future__ import annotations

import ipaddress
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.routing import Route as Routing
from starlette.types import Receive, Scope, Send

from medserver.accounts.bearers import user_of
from medserver.errors import BadRequest, IdentityRefused, MedserverError, NotAuthorised, OutOfResources, WorkitemRefused
from medserver.identity.principal import Principal, principal_of_user
from medserver.log import Event
from medserver.node import Node
from medserver.trail.acting import acting
from medserver.web import audit
from medserver.web.health import problems_of
from medserver.web.request import Answer, Request, warning
from medserver.web.responses import BAD_REQUEST, INTERNAL_ERROR, SERVICE_UNAVAILABLE, UNAUTHORIZED, status_of
from medserver.web.routes import ROUTES, Route
from medserver.wire.throttle import Throttle

ROOT = "/dicom-web"

UPLOADS_MAX = 16
"""How many payloads are received at a time in a process: each holds a thread while its pieces arrive."""

PIECE_MAX_S = 60.0
"""How long the next piece of a payload may take."""

MESSAGE_LENGTH_MAX = 500

REFUSALS_LOGGED_MAX, CALLERS_LOGGED_MAX = 5, 200
"""How often a minute the same refusal is logged, and of how many callers: anybody can be refused, at full speed."""

PACE_MIN_BYTES_PER_S = 16 * 1024
"""Slower payloads are not waited for, beyond `PIECE_MAX_S`."""

OURS: Mapping[int, str] = MappingProxyType({
    INTERNAL_ERROR: "internal error",
    SERVICE_UNAVAILABLE: "the node cannot do this at the moment",
})
"""HTTP status -> what is said of a failure of the node, whose reason is for the log."""

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")

_PORT = re.compile(r":[0-9]{1,5}$")
_DEFAULT_PORTS = {"http": 80, "https": 443}

logger = logging.getLogger(__name__)


def application(node: Node) -> Starlette:
    """Return the application of a node: what an ASGI server runs."""
    ends = Ends(node)
    made = Starlette(routes=[
        Routing("/health/live", _live, methods=["GET"]),
        Routing("/health/ready", ends.ready, methods=["GET"]),
        *(Routing(ROOT + route.template, ends.of(route), methods=[route.method]) for route in ROUTES),
    ])  # fmt: skip
    made.router.redirect_slashes = False  # to where the header field Host says, which anybody can write
    return made


async def _live(request: HTTPRequest) -> Response:
    """Answer that this process answers."""
    return Response("live\n", media_type="text/plain")


class Ends:
    """What is called for each route.

    Parameters
    ----------
    node : Node
        What the operations work with.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._refused = Throttle(times_max=REFUSALS_LOGGED_MAX, keys_max=CALLERS_LOGGED_MAX)
        self._uploads = anyio.CapacityLimiter(UPLOADS_MAX)

    async def ready(self, request: HTTPRequest) -> Response:
        """Answer whether requests can be served now; 503 if not."""
        problems = await anyio.to_thread.run_sync(problems_of, self._node)
        text = "".join(f"{problem}\n" for problem in problems) or "ready\n"
        return Response(text, SERVICE_UNAVAILABLE if problems else 200, media_type="text/plain")

    def of(self, route: Route) -> Callable[[HTTPRequest], Any]:
        """Return the end of a route: the blocking work is done by a thread, never by the event loop."""
        limiter = self._uploads if route.method in ("POST", "PUT") else None

        async def end(request: HTTPRequest) -> Response:
            pieces = request.stream()
            body = partial(_body, pieces)
            answer = await anyio.to_thread.run_sync(self._perform, route, request, body, limiter=limiter)
            return _response(answer)

        return end

    def _perform(self, route: Route, request: HTTPRequest, body: Callable[[], Iterator[bytes]]) -> Answer:
        """Perform a transaction; whatever goes wrong becomes an answer."""
        try:
            asked = self._request(route, request, body)
            with acting(audit.actor_of(asked.principal, asked.config)):
                return route.handler(asked, self._node)
        except IdentityRefused as error:
            audit.tell_refused(self._node, _address(request), str(error))
            if self._refused.allows((_address(request), str(error))):
                logger.warning(Event("refused", address=_address(request), path=route.template, reason=str(error)))
            challenge = {"www-authenticate": 'Bearer realm="medserver", Basic realm="medserver", charset="UTF-8"'}
            return _failure(UNAUTHORIZED, "a token or a user with a passcode is needed", challenge)
        except MedserverError as error:
            status = status_of(error)
            log = logger.error if status == INTERNAL_ERROR else logger.info
            log(Event(route.name, path=route.template, status=status, problem=str(error)))
            warned = warning(_base(request), str(error)) if isinstance(error, WorkitemRefused) else {}
            # What a database or a disk says names machines, tables, accounts and paths.
            return _failure(status, OURS.get(status, str(error)), warned)
        except ClientDisconnect:
            return _failure(BAD_REQUEST, "the user agent has gone")
        except Exception:
            # A mistake of ours. The user agent learns no more than that it failed.
            logger.exception("%s %s failed", route.method, route.template)
            return _failure(INTERNAL_ERROR, OURS[INTERNAL_ERROR])

    def _request(self, route: Route, request: HTTPRequest, body: Callable[[], Iterator[bytes]]) -> Request:
        """Return the request of who may have what it asks for.

        Raises
        ------
        IdentityRefused, NotAuthorised
            Nobody says who asks, or who asks has not the right.
        """
        config = self._node.config.current
        principal = self._principal(request)
        if not principal.permits(route.right):
            why = f"{route.right} is not allowed for {principal.user.name if principal.user else '-'}"
            audit.tell_restricted(self._node, principal, config, route.name, why)
            raise NotAuthorised(why)
        return Request(
            method=request.method,
            path=dict(request.path_params),
            parameters=request.query_params.multi_items(),
            headers={name.lower(): value for name, value in request.headers.items()},
            principal=principal,
            base=_base(request),
            config=config,
            body=body,
        )

    def _principal(self, request: HTTPRequest) -> Principal:
        address = _address(request)
        is_confidential = request.url.scheme == "https" or _is_loopback(address)
        index, config = self._node.index, self._node.config.current
        authorizations = request.headers.getlist("authorization")
        if len(authorizations) > 1:  # which of them counts, another one on the way may have seen differently
            raise IdentityRefused("there are several header fields Authorization")
        authorization = next(iter(authorizations), None)
        try:
            user = user_of(index, config, authorization, is_confidential=is_confidential)
        except IdentityRefused:
            raise
        except MedserverError as error:  # ours: nobody can tell who it is, and later it may work
            logger.error("a user cannot be verified: %s", error)
            raise OutOfResources("a user cannot be verified") from error
        return principal_of_user(user, address)


def _body(pieces: AsyncIterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces of a payload as they arrive, to a thread.

    Raises
    ------
    BadRequest
        They take too long.
    """

    async def following() -> bytes | None:
        with anyio.fail_after(PIECE_MAX_S):
            return await anext(pieces, None)

    begun_at, size_bytes = time.monotonic(), 0
    while True:
        try:
            piece = anyio.from_thread.run(following)
        except TimeoutError:
            raise BadRequest(f"no piece of the payload came for {PIECE_MAX_S:.0f} s") from None
        if piece is None:
            return
        size_bytes += len(piece)
        if time.monotonic() - begun_at > PIECE_MAX_S + size_bytes / PACE_MIN_BYTES_PER_S:
            raise BadRequest("the payload comes too slowly")
        if piece:
            yield piece


def _response(answer: Answer) -> Response:
    headers = {"x-content-type-options": "nosniff", **answer.headers}
    kind = answer.content_type or None
    if isinstance(answer.body, bytes):
        return Response(answer.body, answer.status, headers, kind)
    return Streamed(answer.body, answer.status, headers, kind)


class Streamed(Response):
    """An answer whose pieces are made one after the other, each by a thread, while the user agent takes them."""

    def __init__(self, body: Iterator[bytes], status: int, headers: dict[str, str], kind: str | None) -> None:
        super().__init__(None, status, headers, kind)
        self._pieces = body
        if "content-length" not in headers:
            del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; what holds the pieces open is closed in any case.

        Whether the user agent takes it in time is seen to by the server, see `server.Protocol`.
        """
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while (piece := await anyio.to_thread.run_sync(next, self._pieces, None)) is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:  # the user agent has gone
            return
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._pieces.close)


def _failure(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    text = message[:MESSAGE_LENGTH_MAX].encode("utf-8", "replace") + b"\n"
    return Answer(status, text, "text/plain; charset=utf-8", headers or {})


def _base(request: HTTPRequest) -> str:
    """Return the URL of the service as the user agent knows it.

    dicomweb-client leaves the port out of Host: then it is that at which the request arrived.

    Raises
    ------
    BadRequest
        The header field Host is missing, or is no host.
    """
    host = request.headers.get("host", "")
    if _HOST.fullmatch(host) is None:
        raise BadRequest("the header field Host is missing, or is no host")
    scheme, (_, port) = request.url.scheme, request.scope["server"]
    if _PORT.search(host) is None and port not in (None, _DEFAULT_PORTS[scheme]):
        host = f"{host}:{port}"
    return f"{scheme}://{host}{ROOT}"


def _address(request: HTTPRequest) -> str:
    return request.client.host if request.client else ""


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
