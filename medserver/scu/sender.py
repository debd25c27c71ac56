"""Sends any number of instances of any kinds to one remote AE, over as many associations as that needs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from medserver import codecs
from medserver.dicom import status
from medserver.errors import ConnectionFailed, MedserverError, NoContextAccepted, RemoteError
from medserver.log import Event
from medserver.scu.storage import Outgoing, proposals_for, send_instance
from medserver.wire.association import Association
from medserver.wire.command_set import CommandField
from medserver.wire.limits import WireLimits
from medserver.wire.requestor import Address, Proposal, associate

OPEN_ATTEMPTS_MAX = 3
"""After so many associations in a row that could not be opened or broke, the remote AE is given up."""

logger = logging.getLogger(__name__)


class StorageSender:
    """Sends instances to one remote AE; a context manager that releases its associations.

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
    ) -> None:
        self._address = address
        self._calling_ae_title = calling_ae_title
        self._limits = limits
        self._transcoding = codecs.TranscodeAhead(transcoder)
        self._move_originator = move_originator
        self._preferred = preferred
        self._groups: list[list[Proposal]] = proposals_for(kinds, preferred)
        self._group_of = {
            proposal.abstract_syntax: index
            for index, group in enumerate(self._groups)
            for proposal in group
        }
        self._associations: dict[int, Association] = {}
        self._refused: dict[int, NoContextAccepted] = {}
        self._attempts = 0

    def __enter__(self) -> StorageSender:
        return self

    def __exit__(self, *exception: object) -> None:
        self._transcoding.close()
        for association in self._associations.values():
            association.release()
        self._associations.clear()

    def open(self) -> None:
        """Open an association, to learn early whether the remote AE can be reached and takes anything.

        Raises
        ------
        RemoteError
            It cannot be reached.
        NoContextAccepted
            It takes nothing of what will be sent.
        """
        for group in range(len(self._groups)):
            try:
                self._association(group)
                return
            except NoContextAccepted:
                if len(self._refused) == len(self._groups):
                    raise

    def send(self, outgoing: Outgoing) -> tuple[int, str]:
        """Send an instance and wait for the answer.

        Returns
        -------
        tuple of (int, str)
            The status of the remote AE, or 0x0110 when it could not be asked, and a comment.
        """
        try:
            return self.deliver(outgoing)
        except NoContextAccepted as error:  # no failure of the remote AE, which may take what others propose
            return status.PROCESSING_FAILURE, str(error)
        except RemoteError as error:
            logger.warning(Event("not sent", remote=str(self._address), reason=str(error)))
            return status.PROCESSING_FAILURE, str(error)
        except MedserverError as error:
            return status.PROCESSING_FAILURE, str(error)

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
        group = self._group_of[outgoing.sop_class_uid]
        for is_last in (False, True):  # a broken association is opened again once: to send twice is harmless
            if self._attempts >= OPEN_ATTEMPTS_MAX:
                raise ConnectionFailed("the remote AE failed too often, and is not sent to any more")
            try:
                return self._exchange(self._association(group), outgoing)
            except NoContextAccepted:
                raise
            except (RemoteError, OSError) as error:  # OSError: the file failed in the midst of its message
                self._attempts += 1
                if broken := self._associations.pop(group, None):
                    broken.abort()
                    broken.dul.finish()
                if is_last:
                    raise error if isinstance(error, RemoteError) else ConnectionFailed(str(error)) from error
        raise AssertionError("unreachable")

    def _exchange(self, association: Association, outgoing: Outgoing) -> tuple[int, str]:
        message_id = send_instance(
            association, outgoing, self._transcoding, self._move_originator, self._preferred
        )
        response = association.wait_response(CommandField.C_STORE, message_id, self._limits.dimse_timeout_s)
        self._attempts = 0
        command_set = response.command_set
        return command_set.get("Status", status.PROCESSING_FAILURE), str(command_set.get("ErrorComment", ""))

    def _association(self, group: int) -> Association:
        if group in self._refused:
            raise self._refused[group]
        if group not in self._associations:
            try:
                self._associations[group] = associate(
                    self._address, self._groups[group], self._calling_ae_title, self._limits
                )
            except NoContextAccepted as error:
                self._refused[group] = error
                raise
        return self._associations[group]
