"""The examination of a remote AE, from its name to the presentation contexts that it accepts."""

from __future__ import annotations

import re
import shlex
import socket
import time
from collections.abc import Iterator

from medserver.cli.checkup import OK, PROBLEM, WARNING, Step
from medserver.cli.peer import Peer
from medserver.cli.text import count_in_words, printable
from medserver.config import SERVICES, Config
from medserver.config.addresses import is_ip_address
from medserver.dicom import status, uids
from medserver.errors import AssociationRejected, ConnectionFailed, MedserverError, RemoteError
from medserver.scu import verification
from medserver.scu.query import proposal
from medserver.scu.survey import Survey, sop_class_name
from medserver.wire.association import Association
from medserver.wire.requestor import Proposal

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
LISTED_MAX = 12
_FILLING = re.compile(r" SOP Class| Storage$| Storage(?= - )|Query/Retrieve Information Model - ")

# (source, reason) of an A-ASSOCIATE-RJ (PS3.8 9.3.4): what it means, what to do.
REJECTIONS: dict[tuple[int, int], tuple[str, str]] = {
    (1, 1): ("it gives no reason", "See its log; often it does not know our AE title or our address."),
    (1, 2): (
        "it does not know the DICOM application context",
        "What listens there is not a usual DICOM program.",
    ),
    (1, 3): (
        "it does not know us by our AE title",
        "Enter our AE title and address there, or call it by an AE title that it knows with -aet.",
    ),
    (1, 7): (
        "it is not called by this AE title",
        "Correct the AE title of the entry, or call it by another one with -aec.",
    ),
    (2, 1): ("it gives no reason", "See its log; often it does not know our AE title or our address."),
    (2, 2): (
        "it does not support version 1 of the upper layer protocol",
        "It is not a DICOM program of today.",
    ),
    (3, 1): ("it is congested", "Try again later."),
    (3, 2): ("it has as many associations as it permits", "Close others, or raise its limit."),
}


def connect(host: str, port: int, timeout_s: float) -> None:
    """Open a TCP connection and close it again.

    Raises
    ------
    OSError
        There is none.
    """
    socket.create_connection((host, port), timeout=timeout_s).close()


class PeerCheckup:
    """Examines one remote AE.

    Parameters
    ----------
    peer : Peer
        Whom.
    config : Config
        What we know of it.
    thorough : bool
        Whether every transfer syntax of every SOP class is asked for.
    verbose : bool
        Whether every accepted SOP class is listed.
    """

    def __init__(self, peer: Peer, config: Config, *, thorough: bool, verbose: bool) -> None:
        self._peer = peer
        self._config = config
        self._verbose = verbose
        self._survey = Survey(peer.associated, thorough)
        self._association: dict[str, object] = {}

    def steps(self) -> Iterator[Step]:
        """Examine step by step, and stop where nothing further can be found out."""
        yield self._entry()
        for examine in (self._name, self._connection, self._associate):
            for step in examine():
                yield step
                if step.state == PROBLEM:
                    return
        yield from self._contexts()

    def described(self) -> dict[str, object]:
        """Return what was found out of it, for JSON."""
        accepted = {
            uid: {"name": sop_class_name(uid), "transfer_syntaxes": self._survey.transfer_syntaxes.get(uid)}
            for uid in self._survey.accepted
        }
        return {**self._association, "accepted": accepted}

    def _entry(self) -> Step:
        """Look it up in the configuration: can it call us, too?"""
        address = self._peer.address
        remote = next((one for one in self._config.remotes if one.ae_title == address.ae_title), None)
        if remote is None:
            host = f"[{address.host}]" if ":" in address.host else address.host
            ae_add = shlex.join(
                ["medserver", "ae", "add", address.ae_title, "--address", f"{host}:{address.port}"]
            )
            advice = f"{ae_add} adds it."
            text = f"Our configuration has no entry for {address.ae_title}: it cannot call us, nor be a destination."
            return Step("entry", WARNING, text, advice)
        allowed = ", ".join(service for service in SERVICES if remote.permits(service)) or "nothing"
        return Step(
            "entry", OK, f"Our configuration knows it as [ae {remote.name}]; it may use here: {allowed}."
        )

    def _name(self) -> Iterator[Step]:
        host = self._peer.address.host
        if is_ip_address(host):
            return
        try:
            answers = socket.getaddrinfo(host, self._peer.address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            yield Step(
                "name",
                PROBLEM,
                f"The name {host} cannot be resolved: {reason}.",
                "Check it, or use an address.",
            )
            return
        addresses = ", ".join(dict.fromkeys(str(answer[4][0]) for answer in answers))
        yield Step("name", OK, f"The name {host} means {addresses}.")

    def _connection(self) -> Iterator[Step]:
        address = self._peer.address
        timeout_s = self._peer.limits.connection_timeout_s
        started_at = time.monotonic()
        try:
            connect(address.host, address.port, timeout_s)
        except TimeoutError:
            text = f"{address.host} does not answer at port {address.port} within {timeout_s:.0f} s."
            yield Step("connection", PROBLEM, text, "Is the machine on, and does a firewall let us through?")
        except ConnectionRefusedError:
            text = f"{address.host} can be reached, but nothing listens at port {address.port}."
            yield Step("connection", PROBLEM, text, "Is the program running there, and is the port right?")
        except OSError as error:
            text = f"No connection to {address.host} port {address.port}: {error.strerror or error}."
            yield Step("connection", PROBLEM, text, "Check the address and the network between.")
        else:
            duration_ms = (time.monotonic() - started_at) * 1000
            yield Step("connection", OK, f"The TCP connection opens in {duration_ms:.1f} ms.")

    def _associate(self) -> Iterator[Step]:
        """Ask for an association, and use it."""
        uncompressed = (uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN)
        proposals = [
            verification.PROPOSAL, proposal(uids.STUDY_ROOT_FIND), Proposal(CT_IMAGE_STORAGE, uncompressed),
        ]  # fmt: skip
        started_at = time.monotonic()
        try:
            with self._peer.associated(proposals) as association:
                duration_ms = (time.monotonic() - started_at) * 1000
                calling, called = self._peer.calling_ae_title, self._peer.address.ae_title
                text = (
                    f"It knows us: {called} accepts an association with {calling}, in {duration_ms:.1f} ms."
                )
                yield Step("association", OK, text)
                yield self._implementation(association)
                yield self._echo(association)
        except AssociationRejected as error:
            yield self._rejection(error)
        except ConnectionFailed as error:
            yield Step("association", PROBLEM, f"The second connection failed: {error}")
        except RemoteError as error:
            text = f"The association failed: {error}."
            yield Step(
                "association", PROBLEM, text, "It may not be a DICOM program, or refuse us without saying so."
            )

    def _rejection(self, error: AssociationRejected) -> Step:
        unknown = (f"source {error.source}, reason {error.reason}", "See its log.")
        meaning, advice = REJECTIONS.get((error.source, error.reason), unknown)
        lasting = "rejects" if error.result == 1 else "rejects for now"
        calling, called = self._peer.calling_ae_title, self._peer.address.ae_title
        text = f"{called} {lasting} the association with {calling}: {meaning}."
        return Step("association", PROBLEM, text, advice)

    def _implementation(self, association: Association) -> Step:
        acceptor = association.acceptor
        name = printable(acceptor.implementation_version_name, 16)
        uid = printable(acceptor.implementation_class_uid, uids.UID_LENGTH_MAX)
        length = acceptor.maximum_length
        self._association = {
            "implementation_version_name": name,
            "implementation_class_uid": uid,
            "pdu_length_max": length,
        }
        takes = f"PDUs of up to {length} bytes" if length else "PDUs of any length"
        return Step("implementation", OK, f"It is {name or 'without a name'} ({uid}) and takes {takes}.")

    def _echo(self, association: Association) -> Step:
        if all(context.abstract_syntax != uids.VERIFICATION for context in association.contexts.values()):
            return Step("echo", WARNING, "It does not accept Verification, so there is no C-ECHO.")
        started_at = time.monotonic()
        response = verification.echo(association)
        duration_ms = (time.monotonic() - started_at) * 1000
        if response.code != status.SUCCESS:
            return Step("echo", WARNING, f"It answers the C-ECHO with {status.describe(response.code)}.")
        return Step("echo", OK, f"It answers a C-ECHO in {duration_ms:.1f} ms.")

    def _contexts(self) -> Iterator[Step]:
        """Find out which SOP classes and transfer syntaxes it accepts."""
        try:
            self._survey.run()
        except MedserverError as error:
            yield Step("contexts", WARNING, f"What it accepts could not be found out to the end: {error}")
        services, storage = self._survey.services, self._survey.storage
        names = ", ".join(short_name(uid) for uid in services) or "none"
        yield Step("services", OK if services else WARNING, f"Services that it accepts: {names}.")
        text = f"It accepts {len(storage)} of {count_in_words(len(uids.STORAGE_SOP_CLASSES), 'storage SOP class')}"
        if self._verbose or 0 < len(storage) <= LISTED_MAX:
            text += f": {', '.join(short_name(uid) for uid in storage)}"
        yield Step("storage", OK if storage else WARNING, f"{text}.")
        for sop_class_uids, syntaxes in self._survey.by_transfer_syntaxes():
            classes = ", ".join(short_name(uid) for uid in sop_class_uids[:LISTED_MAX])
            more = f" and {len(sop_class_uids) - LISTED_MAX} more" if len(sop_class_uids) > LISTED_MAX else ""
            yield Step("transfer syntaxes", OK, f"{classes}{more}: {_syntax_names(syntaxes)}.")


def short_name(sop_class_uid: str) -> str:
    """Return the name of a SOP class without the words that all of them share."""
    return _FILLING.sub("", sop_class_name(sop_class_uid))


def _syntax_names(syntaxes: tuple[str, ...]) -> str:
    """Return the keywords of transfer syntaxes; if it is most of them, those that are missing."""
    names = {syntax.uid: syntax.keyword for syntax in uids.TRANSFER_SYNTAXES}
    missing = [name for uid, name in names.items() if uid not in syntaxes]
    if not missing:
        return f"all {len(names)} transfer syntaxes"
    if len(missing) <= LISTED_MAX and len(missing) < len(syntaxes):
        return f"all of {len(names)} transfer syntaxes but {', '.join(missing)}"
    return ", ".join(names[uid] for uid in syntaxes)
