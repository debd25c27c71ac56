"""What cannot be brought into the best transfer syntax goes in the next best, and the rest is still made ahead."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pynetdicom import AE, evt

from medserver.codecs import Transcoder, Workers
from medserver.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from medserver.scu.sender import StorageSender
from medserver.scu.storage import Outgoing
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address
from tests.codecs.images import image

JPEG_LS = "1.2.840.10008.1.2.4.80"
SOP_CLASS_UID = "1.2.840.10008.5.1.4.1.1.7"
COUNT = 8


@contextmanager
def storage_scp(syntaxes: list[str], received: list[str]) -> Iterator[Address]:
    """Give the address of an AE that notes the transfer syntax of what it is sent."""

    def note(event: evt.Event) -> int:
        received.append(event.context.transfer_syntax)
        return 0x0000

    remote = AE("REMOTE")
    remote.add_supported_context(SOP_CLASS_UID, syntaxes)
    server = remote.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, note)])
    try:
        yield Address("REMOTE", *server.server_address[:2])
    finally:
        server.shutdown()


def test_a_best_syntax_that_fails_does_not_end_it(tmp_path: Path) -> None:
    data_set = image((1, 32, 48), "i2", 12).data_set  # JPEG-LS has no sign for it
    readers: dict[int, list[str]] = {number: [] for number in range(COUNT)}

    def outgoing(number: int) -> Outgoing:
        @contextmanager
        def open_data_set() -> Iterator[BinaryIO]:
            readers[number].append(threading.current_thread().name)
            yield io.BytesIO(data_set)

        def upcoming(count: int) -> list[Outgoing]:
            return [outgoing(later) for later in range(number + 1, min(number + 1 + count, COUNT))]

        return Outgoing(
            SOP_CLASS_UID, f"2.25.{number + 1}", EXPLICIT_VR_LITTLE_ENDIAN, len(data_set), open_data_set,
            upcoming=upcoming,
        )  # fmt: skip

    received: list[str] = []
    with storage_scp([JPEG_LS, IMPLICIT_VR_LITTLE_ENDIAN], received) as address, Workers(2) as workers:
        transcoder = Transcoder(workers, directory=tmp_path)
        kinds = [(SOP_CLASS_UID, EXPLICIT_VR_LITTLE_ENDIAN)]
        with StorageSender(address, kinds, "NODE", WireLimits(), transcoder, preferred=[JPEG_LS]) as sender:
            for number in range(COUNT):
                assert sender.send(outgoing(number))[0] == 0x0000
    assert received == [IMPLICIT_VR_LITTLE_ENDIAN] * COUNT
    for threads in readers.values():  # once for JPEG-LS, ahead, and once for what it was sent in
        assert [name.startswith("transcode ahead") for name in threads] == [True, False]
