"""One DIMSE message that is being received: its command set, and its data set as it arrives (PS3.7 6.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from medserver.errors import OutOfResources
from medserver.wire.command_set import NO_DATA_SET, RESPONSE, CommandField


@dataclass(slots=True)
class Message:
    """A message of which the command set is here and the data set may still be on its way.

    Parameters
    ----------
    context_id : int
        The presentation context of the message.
    command_set : dict of str to int, str or bytes
        The command set by keyword.
    """

    context_id: int
    command_set: dict[str, int | str | bytes]
    _read_fragment: Callable[[], memoryview | None] = field(repr=False)
    _complete: bool = False

    @property
    def command_field(self) -> int:
        """Return the Command Field; 0 if the peer left it out."""
        return self.command_set.get("CommandField", 0)

    @property
    def message_id(self) -> int:
        """Return the Message ID, or the one that a response or a cancel refers to."""
        if self.command_field & RESPONSE or self.command_field == CommandField.C_CANCEL:
            return self.command_set.get("MessageIDBeingRespondedTo", 0)
        return self.command_set.get("MessageID", 0)

    @property
    def has_data_set(self) -> bool:
        """Tell whether a data set follows the command set."""
        return self.command_set.get("CommandDataSetType", NO_DATA_SET) != NO_DATA_SET

    def fragments(self) -> Iterator[memoryview]:
        """Yield the data set as it arrives; each fragment is valid until the next is asked for."""
        if not self.has_data_set:
            self._complete = True
        while not self._complete:
            fragment = self._read_fragment()
            if fragment is None:
                self._complete = True
            else:
                yield fragment

    def read_data_set(self, size_max_bytes: int) -> bytes:
        """Return the whole data set.

        Raises
        ------
        OutOfResources
            The data set is longer than `size_max_bytes`; the rest is still to be drained.
        """
        data_set = bytearray()
        for fragment in self.fragments():
            data_set += fragment
            if len(data_set) > size_max_bytes:
                raise OutOfResources(f"the data set is longer than {size_max_bytes} bytes")
        return bytes(data_set)

    def drain(self, size_max_bytes: int) -> bool:
        """Read and drop what is left of the data set; False when more than `size_max_bytes` came."""
        count = 0
        for fragment in self.fragments():
            count += len(fragment)
            if count > size_max_bytes:
                return False
        return True
