"""Messages as JSON: the name of a task and texts, never a pickle."""

from __future__ import annotations

import json
from typing import Any

from huey.registry import Message
from huey.serializer import Serializer

MESSAGE_LENGTH_MAX = 4096


class JsonSerializer(Serializer):
    """Encodes the name of a task and its arguments; equal messages are equal bytes, so that a storage can know them.

    Everything else in a message of Huey (retries, results, what comes next) is decided by the rows of the jobs.
    """

    def _serialize(self, data: Message) -> bytes:
        """Return the bytes of a message.

        Raises
        ------
        TypeError
            An argument is not a text.
        """
        if data.kwargs or not all(isinstance(argument, str) for argument in data.args):
            raise TypeError("a message has texts only")
        return json.dumps([data.name, *data.args], separators=(",", ":")).encode("ascii")

    def _deserialize(self, data: bytes) -> Message:
        """Return the message of some bytes.

        Raises
        ------
        ValueError
            They are not a message of ours.
        """
        if len(data) > MESSAGE_LENGTH_MAX:
            raise ValueError(f"a message of {len(data)} bytes")
        texts: Any = json.loads(data)
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError("not a list of texts")
        return Message(id=None, name=texts[0], args=tuple(texts[1:]))
