"""PDUs made from bytes are what pynetdicom's decoder takes apart again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import P_DATA_TF

from medserver.wire.pdata import fragment_pieces, pdata_pieces


def take_apart(pieces) -> list[tuple[int, int, int, bytes]]:
    """Return (PDU length, context ID, control header, fragment) of each PDU."""
    raw = b"".join(pieces)
    fragments = []
    while raw:
        length = int.from_bytes(raw[2:6], "big")
        pdu = P_DATA_TF()
        pdu.decode(raw[: 6 + length])
        (value,) = pdu.presentation_data_value_items
        data = value.presentation_data_value
        fragments.append((length, value.presentation_context_id, data[0], data[1:]))
        raw = raw[6 + length :]
    return fragments


@given(st.binary(max_size=3000), st.integers(8, 600), st.booleans())
def test_a_value_becomes_fragments_of_which_the_last_is_marked(value, pdu_length, is_command):
    fragments = take_apart(pdata_pieces(5, value, is_command, pdu_length))
    assert b"".join(fragment for *_, fragment in fragments) == value
    assert all(length <= pdu_length for length, *_ in fragments)
    assert all(len(fragment) % 2 == 0 for *_, fragment in fragments[:-1])  # PS3.8 E.1
    assert all(context_id == 5 for _, context_id, *_ in fragments)
    controls = [control for _, _, control, _ in fragments]
    assert controls == [int(is_command)] * (len(fragments) - 1) + [int(is_command) | 2]


@pytest.mark.parametrize("size", [0, 1, 10, 11, 20, 21])
def test_a_file_in_chunks_is_marked_at_its_end_only(size):
    data_set = bytes(range(size))
    pieces = []
    chunks = [data_set[start : start + 10] for start in range(0, size, 10)] or [b""]
    for number, chunk in enumerate(chunks, start=1):
        pieces += fragment_pieces(1, memoryview(chunk), number == len(chunks), 6 + 5)
    fragments = take_apart(pieces)
    assert b"".join(fragment for *_, fragment in fragments) == data_set
    assert [control for _, _, control, _ in fragments] == [0] * (len(fragments) - 1) + [2]
