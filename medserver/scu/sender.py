"""Sends any number of instances of any kinds to one remote AE, over as many associations as that needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from medserver import codecs
from medserver.dicom import status
from medserver.errors import AssociationAborted, MedserverError, NoContextAccepted, StoreFailure
from medserver.scu.idle import IdleAssociations
from medserver.scu.session import Session, Standing
from medserver.scu.storage import Outgoing, proposals_for, send_instance
from medserver.wire.association import Association
from medserver.wire.command_set import CommandField
from medserver.wire.limits import WireLimits
from medserver.wire.pace import Pace
from medserver.wire.requestor import Address


class StorageSender:
    """Sends instances to one remote AE; a context manager that releases its associations in the background.

    One thread uses it; any thread may call `interrupt`.

    Parameters
    ----------
    address : Address
        The remote AE.
    kinds : iterable of (sop_class_uid, transfer_syntax_uid)
        What will be sent: from this the presentation contexts are made.
    calling_ae_title : str
        Our AE title.
    limits : WireLimits
        Timeouts and sizes.
    transcoder : Transcoder
        Who transcodes.
    move_originator : tuple of (AE title, Message ID), optional
        Whose C-MOVE it is.
    preferred : sequence of str
        The transfer syntaxes that the remote AE is to be sent, the best first.
    standing, listens_within_s
        As for `Session`.
    pace : Pace, optional
        How fast is sent; shared with others who send to it.
    should_stop : callable
        Tells whether to stop: what waits for the pace then ends, as by `interrupt`.
    idle, keeps_while
        As for `Session`.

    Attributes
    ----------
    standing : Standing
        What is known of the remote AE.
    """

    def __init__(
        self,
        address: Address,
        kinds: Iterable[tuple[str, str]],
        calling_ae_title: str,
        limits: WireLimits,
        transcoder: codecs.Transcoder,
        move_originator: tuple[str, int] | None = None,
        preferred: Sequence[str] = (),
        standing: Standing | None = None,
        listens_within_s: float = 0.0,
        pace: Pace | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        idle: IdleAssociations | None = None,
        keeps_while: Callable[[], bool] | None = None,
    ) -> None:
        self.standing = standing or Standing()
        self._limits = limits
        self._transcoding = codecs.TranscodeAhead(transcoder)
        self._move_originator = move_originator
        self._preferred = preferred
        self._pace = pace
        self._should_stop = should_stop
        groups = proposals_for(kinds, preferred)
        self._sessions = [
            Session(
                address, group, calling_ae_title, limits, self.standing, listens_within_s, idle, keeps_while
            )
            for group in groups
        ]
        self._session_of = {
            proposal.abstract_syntax: session
            for group, session in zip(groups, self._sessions, strict=True)
            for proposal in group
        }

    def __enter__(self) -> StorageSender:
        return self

    def __exit__(self, *exception: object) -> None:
        self._transcoding.close()
        for session in self._sessions:
            session.close()

    def open(self) -> None:
        """Open an association, to learn early whether the remote AE can be reached and takes anything.

        Raises
        ------
        RemoteError
            It cannot be reached.
        NoContextAccepted
            It takes nothing of what will be sent.
        """
        refusal = None
        for session in self._sessions:
            try:
                session.open()
                return
            except NoContextAccepted as error:
                refusal = error
        if refusal is not None:
            raise refusal

    def send(self, outgoing: Outgoing) -> tuple[int, str]:
        """Send an instance and wait for the answer.

        Returns
        -------
        tuple of (int, str)
            The status of the remote AE, or 0x0110 where there is none, and a comment.
        """
        try:
            return self.deliver(outgoing)
        except (MedserverError, MemoryError) as error:
            return status.PROCESSING_FAILURE, str(error) or type(error).__name__

    def deliver(self, outgoing: Outgoing) -> tuple[int, str]:
        """Send an instance and wait for the answer.

        Returns
        -------
        tuple of (int, str)
            The status of the remote AE, and a comment.

        Raises
        ------
        RemoteError
            It could not be asked: it cannot be reached, the association broke twice, or it was given up.
        NoContextAccepted
            It takes nothing of that SOP class.
        MedserverError
            The instance cannot be read, or cannot be brought into a transfer syntax that it takes.
        """
        session = self._session_of[outgoing.sop_class_uid]
        try:
            return session.perform(lambda association: self._store(association, outgoing))
        except OSError as error:
            raise StoreFailure(f"the instance cannot be read: {error.strerror or error}") from error

    @property
    def is_interrupted(self) -> bool:
        """Whether nothing more is sent because of `interrupt`, or because it was to stop."""
        return any(session.is_interrupted for session in self._sessions)

    def interrupt(self) -> None:
        """End what is under way, from any thread: nothing more is sent."""
        for session in self._sessions:
            session.interrupt()

    def _store(self, association: Association, outgoing: Outgoing) -> tuple[int, str]:
        association.pace, association.should_stop = self._pace, self._should_stop
        try:
            message_id = send_instance(
                association, outgoing, self._transcoding, self._move_originator, self._preferred
            )
        except AssociationAborted:
            if self._should_stop():  # it is neither a failure of the remote AE nor to be repeated
                self.interrupt()
            raise
        response = association.wait_response(CommandField.C_STORE, message_id, self._limits.dimse_timeout_s)
        command_set = response.command_set
        return command_set.get("Status", status.PROCESSING_FAILURE), str(command_set.get("ErrorComment", ""))
