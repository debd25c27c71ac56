"""The other side of every test: independent DICOM programs, and the node as a process.

Each file is one peer: `dcmtk`, `orthanc`, `gdcm`, and `node` for medserver itself. `process` and `ports`
start and stop them, `files` has what they exchange, `wall_clock` lets their time jump. The fixtures are in
`tests/conftest.py`.

This module knows what the peers need from the machine. `python -m tests.peers` prints the Debian packages
that are missing.
"""

from __future__ import annotations

import glob
import os
import platform
import shutil
import sys
from typing import NamedTuple

import pytest

# Peer: (Debian package, programs or files by which it is recognised).
PROGRAMS = {
    "dcmtk": ("dcmtk", ("storescu", "getscu", "storescp", "dcmqrscp", "dcmdump")),
    "orthanc": ("orthanc", ("Orthanc",)),
    "gdcm": ("libgdcm-tools", ("gdcmscu", "gdcmconv")),
    "openjpeg": ("libopenjp2-tools", ("opj_decompress",)),
    "openssl": ("openssl", ("openssl",)),
    "sslscan": ("sslscan", ("sslscan",)),
    "stunnel": ("stunnel4", ("stunnel",)),
    "haproxy": ("haproxy", ("haproxy",)),
    "rsyslog": ("rsyslog", ("rsyslogd",)),
    "rsyslog-openssl": ("rsyslog-openssl", (f"/usr/lib/{platform.machine()}-linux-gnu/rsyslog/lmnsd_ossl.so",)),
    "dicom3tools": ("dicom3tools", ("dciodvfy",)),
    "postgresql": ("postgresql", ("initdb", "pg_ctl")),
    "redis": ("redis-server", ("redis-server",)),
    "faketime": ("faketime", ("faketime",)),
    "ippeveprinter": ("cups-ipp-utils", ("ippeveprinter", "ipptool")),
    "avahi": ("avahi-daemon", ("avahi-daemon",)),
    "cups": ("cups", ("cupsd",)),
    "cups-client": ("cups-client", ("lp",)),
    "poppler": ("poppler-utils", ("pdfinfo", "pdfimages", "pdffonts", "pdftoppm", "pdftotext")),
    "iproute2": ("iproute2", ("ip",)),
    "fonts-dejavu": ("fonts-dejavu-core", ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",)),
    "fonts-droid": ("fonts-droid-fallback", ("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",)),
}

QUICK_OPTION = "--quick"
"""Option of pytest: only tests that start no programs."""

CODECS = "medserver.codecs.worker"
"""The module that the processes of the codecs run."""

_quick_run = False

# Debian keeps Orthanc out of the PATH of users who are not root, and the PostgreSQL server out of everyone's.
MORE_DIRECTORIES = ["/usr/sbin", *sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)]


class Address(NamedTuple):
    """Where an AE is reached."""

    ae_title: str
    port: int
    host: str = "127.0.0.1"


class PeerFailed(AssertionError):
    """A peer did not start, did not end in time or ended with a failure."""


def set_quick_run(is_quick: bool) -> None:
    """Tell whether this run of pytest is a quick one (`scripts/test --quick`)."""
    global _quick_run
    _quick_run = is_quick
    if is_quick:
        sys.addaudithook(_notice_program)


def _notice_program(event: str, arguments: tuple[object, ...]) -> None:
    """Notice what a test starts by itself, but for the codecs' own processes."""
    if event == "subprocess.Popen" and "PYTEST_CURRENT_TEST" in os.environ and CODECS not in map(str, arguments[1]):
        starts_programs()


def starts_programs() -> None:
    """Skip the running test in a quick run: it is about to start a peer, a server, a node or another program.

    No list of such tests is needed.
    """
    if _quick_run:
        pytest.skip("starts programs, which a quick run does not")


def find_program(name: str) -> str | None:
    """Find a program of a peer.

    Parameters
    ----------
    name : str
        The name of the program, or the path of a file that a peer needs.

    Returns
    -------
    str or None
        Its path, None when it is not installed.
    """
    if os.path.isabs(name):
        return name if os.path.exists(name) else None
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *MORE_DIRECTORIES]))


def is_installed(peer: str) -> bool:
    """Tell whether all programs of a peer are there.

    Parameters
    ----------
    peer : str
        A key of `PROGRAMS`.
    """
    return all(find_program(program) for program in PROGRAMS[peer][1])


def requires(*peers: str) -> None:
    """Skip the running test when a peer is missing; in continuous integration (CI=true) fail it.

    Parameters
    ----------
    *peers : str
        Keys of `PROGRAMS`.
    """
    missing = [f"{peer} (Debian package {PROGRAMS[peer][0]})" for peer in peers if not is_installed(peer)]
    if not missing:
        return
    reason = f"missing peer: {', '.join(missing)}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
