"""Machines: what a program sees as one of its own, in a network namespace with a cable to the tests.

A machine has its own addresses and ports, a boot ID (by which medserver tells machines apart) and a host name; it does
not see the folders of others. Who runs the tests has to be root. The processes of a machine are made by
`tests.peers.preloaded`, which enters it when the environment says so.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "MEDSERVER_TEST_MACHINE"
"""Environment variable of a program: the network namespace, the host name, the file with the boot ID, and the folders
that it does not see, with colons between them."""

NETWORK = "10.231.0.0/16"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_CLONE_NEWNET, _CLONE_NEWNS, _CLONE_NEWUTS = 0x40000000, 0x00020000, 0x04000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18


class NotPermitted(Exception):
    """There can be no such machines here; the text says why."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine.

    Parameters
    ----------
    name : str
        Its host name, and that of its network namespace.
    address : str
        Its IP address.
    here : str
        That of the tests on the other end of its cable.
    boot_id : Path
        A file with its boot ID.
    """

    name: str
    address: str
    here: str
    boot_id: Path

    def environment(self, hidden: Sequence[Path] = ()) -> dict[str, str]:
        """Return the variables by which a program runs on it.

        Parameters
        ----------
        hidden : sequence of Path
            The folders of other machines.
        """
        return {VARIABLE: ":".join([f"/run/netns/{self.name}", self.name, str(self.boot_id), *map(str, hidden)])}

    def plug(self, is_in: bool) -> None:
        """Pull the cable, or plug it in again; connections that are open are not closed by that."""
        _ip("link", "set", _cable(self.name), "up" if is_in else "down")


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """Give machines that reach the tests, and through no other way each other.

    All of them reach each address that the tests have.

    Raises
    ------
    NotPermitted
        This user, or this container, may not make network namespaces; or a program is missing.
    """
    if os.geteuid() != 0:
        raise NotPermitted("network namespaces need root")
    if shutil.which("ip") is None:
        raise NotPermitted("network namespaces need the program ip (Debian package iproute2)")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="medserver-machines-")))
        yield [_machine(stack, folder, number) for number in range(1, count + 1)]


def _machine(stack: ExitStack, folder: Path, number: int) -> Machine:
    name = f"ms{os.getpid() % 10**7}x{number}"
    octet = os.getpid() % 250
    here, address = (f"10.231.{octet}.{4 * number + end}" for end in (1, 2))
    boot_id = folder / f"boot-{number}"
    boot_id.write_text(f"{uuid.uuid4()}\n")
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "delete", name)  # with its end of the cable, and so with ours
    _ip("link", "add", _cable(name), "type", "veth", "peer", "name", "eth0", "netns", name)
    _ip("address", "add", f"{here}/30", "dev", _cable(name))
    _ip("link", "set", _cable(name), "up")
    for arguments in (
        ("address", "add", f"{address}/30", "dev", "eth0"),
        ("link", "set", "eth0", "up"),
        ("link", "set", "lo", "up"),
        ("route", "add", "default", "via", here),
    ):
        _ip("-n", name, *arguments)
    return Machine(name, address, here, boot_id)


def _cable(name: str) -> str:
    return f"v{name}"


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise NotPermitted(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


# What a program does when it begins


def enter_if_wanted() -> None:
    """Become a process of a machine, if the environment says so; before the process has a second thread."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    network, name, boot_id, *hidden = wanted.split(":")
    with open(network, "rb") as namespace:
        _call("setns", namespace.fileno(), _CLONE_NEWNET)
    _call("unshare", _CLONE_NEWNS | _CLONE_NEWUTS)
    _call("sethostname", name.encode(), len(name))
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    _call("mount", boot_id.encode(), _BOOT_ID.encode(), None, _MS_BIND, None)
    for folder in filter(os.path.isdir, hidden):  # that of a machine that was lost is gone
        _call("mount", b"none", folder.encode(), b"tmpfs", 0, b"size=4k,mode=0")


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
