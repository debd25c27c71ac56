"""The programs of DCMTK that ask the candidates for something, with the time that it took."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.peers import Address, PeerFailed
from tests.peers.process import command_line, run

TIMEOUT_S = 600
LARGE_PDU = ("--max-pdu", "131072")
STUDY_KEYS = ("StudyInstanceUID", "PatientName", "PatientID", "AccessionNumber", "StudyDescription")


def store(
    address: Address, parts: Sequence[Sequence[Path]], *, j2k: bool = False, options: Sequence[str] = ()
) -> float:
    """Send files with one storescu for each part, all at once; `j2k` says that they are JPEG 2000.

    With more `options` of storescu.

    Returns
    -------
    float
        The seconds until the last one has ended.

    Raises
    ------
    PeerFailed
        One of them was not answered with success.
    """
    options = [*options, *(["--propose-j2k-lossless"] if j2k else [])]
    commands = [
        command_line(["storescu", "-q", *LARGE_PDU, *options, *_peer(address), *paths]) for paths in parts
    ]
    with ExitStack() as stack:
        begin = time.perf_counter()
        senders = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for command in commands]
        for sender in senders:
            stack.callback(sender.wait)
            stack.callback(sender.kill)
        exit_codes = [_end(sender) for sender in senders]
        seconds = time.perf_counter() - begin
    if any(exit_codes):
        raise PeerFailed(f"storescu to {address.ae_title}: exit codes {exit_codes}")
    return seconds


def _end(program: subprocess.Popen) -> int:
    """Wait for the end of a program and return its exit code; `Popen.wait` looks only each 50 ms with a timeout."""
    descriptor = os.pidfd_open(program.pid)
    try:
        select.select([descriptor], [], [], TIMEOUT_S)
    finally:
        os.close(descriptor)
    return program.wait(0)


def get(address: Address, study_instance_uid: str, count: int | None = None, *, j2k: bool = False) -> float:
    """Retrieve a study with getscu, which throws it away; return the seconds.

    With a `count` it is checked, which takes longer, that so many instances came. `j2k` asks for JPEG 2000.
    """
    options = ["--ignore", *(["--prefer-j2k-lossless"] if j2k else [])]
    return _retrieve("getscu", address, study_instance_uid, options, count)


def move(
    address: Address, study_instance_uid: str, count: int | None = None, *, destination: str = "STORESCP"
) -> float:
    """Let a study be sent to another AE with movescu. The rest is as for `get`."""
    return _retrieve("movescu", address, study_instance_uid, ["-aem", destination], count)


def find(address: Address, count: int | None = None) -> float:
    """Query all studies with findscu; return the seconds. With a `count` it is checked that so many came."""
    keys = ["QueryRetrieveLevel=STUDY", "StudyDate=20260101-20261231", *STUDY_KEYS]
    output, seconds = _run("findscu", address, ["--study", *LARGE_PDU], keys, count is not None)
    answers = len(re.findall(r"^I: Find Response: \d+ \(Pending\)", output, re.MULTILINE))
    if count not in (None, answers):
        raise PeerFailed(f"{address.ae_title} answered {answers} studies of {count}\n{output[-2000:]}")
    return seconds


def echo(address: Address, count: int) -> float:
    """Send C-ECHO requests, one after the other, on one association of echoscu; return the seconds."""
    return _run("echoscu", address, ["--repeat", str(count)], [], False)[1]


def _retrieve(
    program: str, address: Address, study_instance_uid: str, options: Sequence[str], count: int | None
) -> float:
    keys = ["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study_instance_uid}"]
    output, seconds = _run(program, address, ["--study", *LARGE_PDU, *options], keys, count is not None)
    completed = re.findall(r"Completed Suboperations +: (\d+)", output)
    if count is not None and completed[-1:] != [str(count)]:
        raise PeerFailed(f"{program}: {address.ae_title} sent {completed[-1:]} of {count}\n{output[-2000:]}")
    return seconds


def _run(
    program: str, address: Address, options: Sequence[str], keys: Sequence[str], verbose: bool
) -> tuple[str, float]:
    """Run an SCU; return what it printed, and the seconds."""
    level = "-q" if not verbose else "-v" if program == "findscu" else "-d"
    options = [level, *options, *(text for key in keys for text in ("-k", key))]
    begin = time.perf_counter()
    completed = run([program, *options, *_peer(address)], timeout_s=TIMEOUT_S)
    seconds = time.perf_counter() - begin
    return completed.check().output, seconds


def _peer(address: Address) -> tuple[str, ...]:
    return "-aec", address.ae_title, address.host, str(address.port)
