"""Who took part in an event."""

from __future__ import annotations

from dataclasses import dataclass, replace

from medserver.audit.codes import Code

MACHINE_NAME, IP_ADDRESS, URI = "1", "2", "5"
"""NetworkAccessPointTypeCode (PS3.15 A.5.1)."""


@dataclass(frozen=True, slots=True)
class Participant:
    """One ActiveParticipant of a message.

    Parameters
    ----------
    user_id : str
        UserID: ``login@domain`` of a person, what our log calls a process or a node, where media are.
    alternative_id : str
        AlternativeUserID: of a DICOM application ``AETITLES=...``.
    name : str
        UserName: for people.
    is_requestor : bool
        UserIsRequestor: whether it began the event; of one participant at most.
    roles : tuple of Code
        RoleIDCode (PS3.16 CID 402).
    access_point, access_point_type : str
        Where it is on the network, and what kind of name that is; empty if that is not known.
    media_type : Code or None
        What kind of media it is (PS3.16 CID 405); None if it is none.

    References
    ----------
    PS3.15 A.5.2
    """

    user_id: str
    alternative_id: str = ""
    name: str = ""
    is_requestor: bool = False
    roles: tuple[Code, ...] = ()
    access_point: str = ""
    access_point_type: str = ""
    media_type: Code | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who it was, as far as the node knows: an application, and the person behind it.

    Parameters
    ----------
    ae_title : str
        Its AE title; empty if it has none.
    address : str
        Its IP address, or the name of its machine.
    process : str
        What our log calls it, if not by its AE title: a process ID.
    user : str
        The person, ``login@domain``; empty if nobody knows.
    certificate : str
        The certificate by which the application, or the person, has proved who it is; empty if none.
    """

    ae_title: str = ""
    address: str = ""
    process: str = ""
    user: str = ""
    certificate: str = ""

    def participants(self, role: Code | None = None, *, is_requestor: bool = False) -> tuple[Participant, ...]:
        """Return the application and, where known, the person: both are named, and one is the requestor.

        Parameters
        ----------
        role : Code, optional
            What the application does in the event.
        is_requestor : bool
            Whether it, or the person, began the event.
        """
        people = ()
        if self.user:
            people = (Participant(self.user, name=self.certificate, is_requestor=is_requestor),)
        if not (self.ae_title or self.process) and people:
            return (replace(people[0], roles=(role,) if role else (), **self._access_point()),)
        application = Participant(
            self.process or self.ae_title or "unknown",
            f"AETITLES={self.ae_title}" if self.ae_title else "",
            self.certificate if not people else "",
            is_requestor and not people,
            (role,) if role else (),
            **self._access_point(),
        )
        return (application, *people)

    def _access_point(self) -> dict[str, str]:
        if not self.address:
            return {}
        is_address = ":" in self.address or self.address.replace(".", "").isdigit()
        return {"access_point": self.address, "access_point_type": IP_ADDRESS if is_address else MACHINE_NAME}

    @property
    def label(self) -> str:
        """What lists show of it."""
        who = self.ae_title or self.process
        return f"{self.user} {who}".strip() if self.user else who
