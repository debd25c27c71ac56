"""The way to a bucket: who asks, how long that may take, what an answer means, and whether the service can be trusted.

A volume must never overwrite an object, and several processes write to it. So the service has to honour
``If-None-Match: *`` (create only what is not there); one that ignores it would let the last writer win. This is tried
on the marker of the volume before anything else is done, with what it holds already. The marker also tells a bucket
that has been emptied, or is that of another volume, from one that lacks an object.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medserver.errors import DamagedObject, OutOfResources, StoreFailure
from medserver.store import marker as markers
from medserver.store.availability import Availability
from medserver.store.bucket.credentials import find_credentials
from medserver.store.condition import AWAY, FOREIGN
from medserver.store.marker import Marker

REQUEST_MAX_S = 10.0
"""How long one request may take: it moves no more than `bucket_writer.PART_BYTES`."""

CONNECT_MAX_S = 3.0
COPY_MAX_S = 600.0
"""How long the service may take to copy an object within the bucket."""

_NOT_HONOURED = (
    "the service does not honour conditional writes (If-None-Match): objects could be overwritten, "
    "so it cannot be used as a volume"
)
_NO_ROOM = ("507 ", "InsufficientStorage", "QuotaExceeded", "StorageFull")


class NotThere(StoreFailure):
    """The volume is not there, or another one is in its place.

    Parameters
    ----------
    state : str
        AWAY or FOREIGN.
    """

    def __init__(self, text: str, state: str) -> None:
        super().__init__(text)
        self.state = state


class Occupied(Exception):
    """An object was to be created where there is one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bucket is.

    Parameters
    ----------
    url : str
        ``s3://BUCKET`` or ``s3://BUCKET/PREFIX``.
    endpoint : str or None
        The URL of the service; None is that of AWS.
    region : str or None
        None is ``us-east-1``.
    credentials : Path or None
        See `bucket_credentials`.
    """

    url: str
    endpoint: str | None = None
    region: str | None = None
    credentials: Path | None = None


class BucketConnection:
    """Requests to one bucket; may be used by several threads, and by a process that was forked before the first.

    The library has threads of its own, which a fork does not copy: a process that has made a request must not fork.

    Parameters
    ----------
    volume : str
        Name of the volume.
    place : Place
        Where the bucket is.
    request_max_s : float
        How long a request may take.
    """

    def __init__(self, volume: str, place: Place, request_max_s: float = REQUEST_MAX_S) -> None:
        self._volume = volume
        self._place = place
        self._request_max_s = request_max_s
        self.availability = Availability(volume)
        self._lock = threading.Lock()
        self._store: Any = None
        self._expected: Marker | None = None
        self._held_back = ""

    def attach(self, expected: Marker | None) -> None:
        """Take the bucket that has a marker, or any; the next request finds out whether this one has it."""
        if self._held_back or expected != self._expected:
            self._expected, self._held_back, self._store = expected, "", None

    def detach(self, reason: str) -> None:
        """Make no more requests."""
        self._held_back, self._store = reason, None

    def require(self) -> None:
        """Raise StoreFailure at once if the bucket is detached, or did not answer a moment ago."""
        if self._held_back:
            raise NotThere(f"volume {self._volume} is {AWAY}: {self._held_back}", AWAY)
        self.availability.require()

    def prove(self) -> None:
        """Read the marker again.

        Raises
        ------
        NotThere
            There is none, or another one.
        StoreFailure, OutOfResources
            The service does not answer as it should.
        """
        with self.asking("read the marker") as store:
            self._prove(store)

    def marker(self) -> Marker | None:
        """Return the marker that lies in the bucket, None if there is none."""
        self.availability.require()
        with self._translating("read the marker"):
            return self._read_marker(self._make_store(self._request_max_s))

    def mark(self, marker: Marker) -> None:
        """Make the marker.

        Raises
        ------
        StoreFailure
            There is another one, or the service creates what is there already.
        """
        self.availability.require()
        store = self._make_store(self._request_max_s)
        try:
            with self._translating("make the marker"):
                self._create_marker(store, marker)
        except Occupied:
            if self.marker() != marker:
                raise StoreFailure(f"volume {self._volume}: the bucket has a marker already: it is another") from None
        except FileNotFoundError as error:
            raise StoreFailure(f"volume {self._volume}: there is no such bucket") from error
        self._require_conditions(store, marker)

    def close(self) -> None:
        """Forget the connections; they are made anew when they are needed."""
        self._store = None

    @contextmanager
    def asking(self, action: str, path: str | None = None) -> Iterator[Any]:
        """Give what the functions of obstore take as a store, and translate what they raise.

        Parameters
        ----------
        action : str
            What is done, to complete "cannot ...".
        path : str, optional
            The object that it is about.

        Raises
        ------
        DamagedObject
            There is no such object.
        Occupied
            There is one already.
        OutOfResources
            The bucket is full.
        StoreFailure
            Anything else.
        """
        self.require()
        store = self._opened()
        with self._translating(action):
            try:
                yield store
            except FileNotFoundError as error:
                self._prove(store)
                raise DamagedObject(f"{self._volume}:{path} is missing") from error
        self.availability.works()

    def copying_store(self) -> Any:
        """Return a store whose requests may take as long as the service needs to copy an object."""
        return self._make_store(COPY_MAX_S)

    def _opened(self) -> Any:
        """Return the store, which has been tried once by this process."""
        store = self._store
        if store is None:
            with self._lock:
                if self._store is None:
                    self.availability.require()
                    self._store = self._tried()
                store = self._store
        return store

    def _tried(self) -> Any:
        """Connect, and find out whether this is the volume and the service creates nothing that is there."""
        store = self._make_store(self._request_max_s)
        with self._translating("open the bucket"):
            self._prove(store)
        if self._expected is not None:
            self._require_conditions(store, self._expected)
        return store

    def _require_conditions(self, store: Any, marker: Marker) -> None:
        """Raise StoreFailure unless the service refuses to create the marker, which is there."""
        try:
            with self._translating("open the bucket"):
                self._create_marker(store, marker)
        except Occupied:
            return
        self.availability.failed(_NOT_HONOURED)
        raise StoreFailure(f"volume {self._volume}: {_NOT_HONOURED}")

    def _create_marker(self, store: Any, marker: Marker) -> None:
        import obstore

        obstore.put(store, markers.NAME, marker.encode(), mode="create", use_multipart=False)

    def _read_marker(self, store: Any) -> Marker | None:
        import obstore

        try:
            content = bytes(obstore.get(store, markers.NAME).bytes())
        except FileNotFoundError:  # of the object or of the bucket
            return None
        return markers.decode(content, self._place.url)

    def _prove(self, store: Any) -> None:
        """Raise NotThere unless the bucket has the marker that it should have, if it should have a certain one."""
        if self._expected is None:
            return
        found = self._read_marker(store)
        if found == self._expected:
            return
        state, detail = AWAY, f"{self._place.url} is no bucket, or has no {markers.NAME}"
        if found is not None:
            state, detail = FOREIGN, f"{self._place.url} is another volume, {found.volume_uuid}"
        self._store = None
        self.availability.failed(detail)
        raise NotThere(f"volume {self._volume} is {state}: {detail}", state)

    def _make_store(self, request_max_s: float) -> Any:
        try:
            from obstore.store import S3Store
        except ImportError as error:
            raise StoreFailure(f"volume {self._volume}: install obstore, or medserver[s3] ({error})") from None
        parts = urlsplit(self._place.url)
        endpoint = self._place.endpoint
        keys = find_credentials(self._place.credentials)
        return S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            region=self._place.region or os.environ.get("AWS_REGION") or "us-east-1",
            access_key_id=keys.access_key_id,
            secret_access_key=keys.secret_access_key,
            **({"token": keys.session_token} if keys.session_token else {}),
            **({"endpoint": endpoint} if endpoint else {}),
            virtual_hosted_style_request=endpoint is None,
            copy_if_not_exists="multipart",
            client_options={
                "timeout": timedelta(seconds=request_max_s),
                "connect_timeout": timedelta(seconds=min(CONNECT_MAX_S, request_max_s)),
                "allow_http": bool(endpoint and endpoint.startswith("http://")),
            },
            # A request that ran out of time is not made again; one that was answered with "slow down" is.
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=min(CONNECT_MAX_S, request_max_s))},
        )

    @contextmanager
    def _translating(self, action: str) -> Iterator[None]:
        from obstore import exceptions

        try:
            yield
        except exceptions.AlreadyExistsError as error:
            raise Occupied from error
        except FileNotFoundError:
            raise
        except (exceptions.BaseError, OSError) as error:
            text = str(error).partition("\n")[0][:300]
            if any(sign in str(error) for sign in _NO_ROOM):
                raise OutOfResources(f"volume {self._volume}: cannot {action}: {text}") from error
            if "status code" not in str(error):
                self.availability.failed(text)
            raise StoreFailure(f"volume {self._volume}: cannot {action}: {text}") from error
