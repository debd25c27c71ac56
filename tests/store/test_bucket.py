"""What only a volume in a bucket can show: a service that cannot be trusted, or does not answer."""

from __future__ import annotations

import io
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from medserver.errors import DamagedObject, OutOfResources, StoreFailure
from medserver.store import Marker
from medserver.store.availability import RETRY_S, Availability
from medserver.store.bucket.credentials import Credentials, find_credentials
from medserver.store.bucket.volume import BucketVolume, Place
from medserver.store.marker import NAME
from tests.peers.s3 import BUCKET, KEYS
from tests.store.test_volume import LARGE, META, put

PATH = f"2024/02/29/2359/{'a' * 64}.dcm"

obstore = pytest.importorskip("obstore", reason="obstore is missing (medserver[s3])")


class Careless(BaseHTTPRequestHandler):
    """A service that takes everything and honours no condition."""

    answer = 200
    marker = Marker.new()

    def do_GET(self):  # noqa: N802 - the name that http.server looks for
        content = self.marker.encode()
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Sat, 31 Jan 2026 12:00:00 GMT")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_PUT(self):  # noqa: N802 - the name that http.server looks for
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.answer)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Full(Careless):
    """A service without room."""

    answer = 507


@contextmanager
def serving(handler) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def volume_at(s3, endpoint: str, request_max_s: float = 30) -> BucketVolume:
    return BucketVolume("far", Place(f"s3://{BUCKET}", endpoint, None, s3.credentials), request_max_s=request_max_s)


def test_a_service_that_would_overwrite_is_refused(s3, caplog):
    with serving(Careless) as endpoint:
        volume = volume_at(s3, endpoint)
        volume.attach(Careless.marker)
        for _ in range(2):
            with pytest.raises(StoreFailure, match="does not honour conditional writes"):
                put(volume, b"x")
        with pytest.raises(StoreFailure, match="conditional writes"):
            volume.stat(PATH)
        assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1
        with pytest.raises(StoreFailure, match="conditional writes"):
            volume_at(s3, endpoint).mark(Marker.new())


def test_a_full_bucket_is_a_lack_of_resources(s3):
    with serving(Full) as endpoint, pytest.raises(OutOfResources):
        put(volume_at(s3, endpoint), b"x")


def test_a_silent_service_costs_one_timeout_and_is_then_left_alone(s3, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        volume = volume_at(s3, f"http://127.0.0.1:{silent.getsockname()[1]}", request_max_s=0.5)
        began_at = time.monotonic()
        with pytest.raises(StoreFailure):
            volume.stat(PATH)
        assert time.monotonic() - began_at < 5
        began_at = time.monotonic()
        for ask in (volume.stat, volume.open, volume.delete, lambda path: volume.create(META, path)):
            for _ in range(50):
                with pytest.raises(StoreFailure) as raised:
                    ask(PATH)
                assert not isinstance(raised.value, DamagedObject)
        assert time.monotonic() - began_at < 0.5
    assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1


def test_a_service_that_is_not_there_is_no_damage(s3):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    for ask in (
        lambda volume: volume.stat(PATH), lambda volume: list(volume.walk()), lambda volume: volume.remove_unfinished()
    ):
        with pytest.raises(StoreFailure) as raised:
            ask(volume_at(s3, endpoint))
        assert not isinstance(raised.value, DamagedObject)


def test_a_bucket_that_is_not_there_is_no_damage(s3):
    place = Place("s3://no-such-bucket", s3.endpoint, None, s3.credentials)
    volume = BucketVolume("far", place, request_max_s=30)
    volume.attach(Marker.new())
    with pytest.raises(StoreFailure, match="is away") as raised:
        volume.stat(PATH)
    assert not isinstance(raised.value, DamagedObject)


def test_a_bucket_that_was_emptied_is_lost_not_damaged(s3):
    volume = s3.volume("far", "emptied")
    stored = put(volume, b"x")
    with volume._connection.asking("empty the bucket") as store:
        for name in (stored.path, NAME):
            obstore.delete(store, name)
    for ask in (volume.stat, volume.open):
        with pytest.raises(StoreFailure) as raised:
            ask(stored.path)
        assert not isinstance(raised.value, DamagedObject)


def test_it_is_tried_again_after_a_while_and_both_are_said_once(caplog):
    caplog.set_level(logging.INFO)
    now = [100.0]
    available = Availability("far", lambda: now[0])
    available.require()
    for _ in range(3):
        available.failed("no route")
    with pytest.raises(StoreFailure, match="far cannot be reached: no route"):
        available.require()
    now[0] += RETRY_S
    available.require()
    available.works()
    available.works()
    available.require()
    assert [one.levelname for one in caplog.records] == ["ERROR", "INFO"]


def test_an_interrupted_large_object_is_not_seen_and_swept_later(s3):
    volume = s3.volume("far", "interrupted")
    writer = volume.create(META)
    writer.write(LARGE)
    with volume._connection.asking("finish the parts"):
        writer._parts.close()  # and here the process has died
    assert list(volume.walk()) == []
    assert volume.remove_unfinished() == 0  # somebody may be writing it
    later = BucketVolume("far", s3.place("interrupted"), request_max_s=60, abandoned_after=-timedelta(hours=1))
    assert later.remove_unfinished() == 1
    assert later.remove_unfinished() == 0


def test_large_objects_leave_no_temporary_ones(s3):
    volume = s3.volume("far", "large")
    stored = put(volume, LARGE)
    volume.verify(stored)
    with volume._connection.asking("look") as store:
        left = [one["path"] for page in obstore.list(store) for one in page]
    assert sorted(left) == sorted([stored.path, NAME])


def test_credentials_come_from_a_file_or_the_environment(tmp_path):
    file = tmp_path / "keys"
    file.write_text("[other]\naws_access_key_id = a%b\naws_secret_access_key = b\naws_session_token = c\n")
    with pytest.raises(StoreFailure, match="others can read or change the keys to the bucket; run: chmod 600"):
        find_credentials(file, {})
    file.chmod(0o600)
    found = find_credentials(file, {})
    assert (found.access_key_id, found.secret_access_key, found.session_token) == ("a%b", "b", "c")
    environment = {name.upper(): text for name, text in KEYS.items()}
    assert find_credentials(None, environment).secret_access_key == KEYS["aws_secret_access_key"]
    assert find_credentials(None, {"AWS_SHARED_CREDENTIALS_FILE": str(file)}) == found
    with pytest.raises(StoreFailure, match="no credentials"):
        find_credentials(None, {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")})


@pytest.mark.parametrize("text", ["secret", "[a]\nsecret\n", "[a]\nx = secret\n", "[a]\nx=secret\n[b]\nx=secret\n", ""])
def test_nothing_of_a_wrong_credentials_file_is_repeated(tmp_path, text):
    file = tmp_path / "keys"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(StoreFailure) as raised:
        find_credentials(file, {})
    assert "secret" not in str(raised.value).replace("aws_secret_access_key", "")
    assert raised.value.__cause__ is None


def test_credentials_are_not_shown():
    output = io.StringIO()
    with redirect_stdout(output):
        print(Credentials("identity", "secret", "token"))
    assert output.getvalue() == "Credentials()\n"
