"""Damaged files, at random: whatever they are, a type refuses them for a reason, or makes something of them."""

from __future__ import annotations

import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from medserver import errors
from medserver.processing.task import perform
from medserver.processing.types import TYPES
from tests.processing import phantoms
from tests.processing.conftest import WORKITEM

RNG = np.random.default_rng(61)
VOLUME = RNG.integers(0, 4096, (4, 32, 32)).astype(np.uint16)
ROUNDS = 60

SETS = {
    "CT": lambda: phantoms.ct_series(VOLUME, 2.0),
    "MR": lambda: [phantoms.mr_slice(one, n, 2.0 * (n // 2), DiffusionBValue=500.0 * (n % 2))
                   for n, one in enumerate(VOLUME)],
    "PT": lambda: [phantoms.pet_slice(one.astype(np.int16), n, 4.0 * n, n / 2) for n, one in enumerate(VOLUME, 1)],
    "CR": lambda: [phantoms.radiograph(VOLUME[0])],
    "XA": lambda: [phantoms.angiography(VOLUME)],
}  # fmt: skip
NEEDED = {"segment": {"lower": 100}}
"""Parameters without which a type refuses everything."""


def damaged(whole: bytes, chance: random.Random) -> bytes:
    """Return a file with some bytes of its header changed or missing, or cut off."""
    other = bytearray(whole)
    header_end = whole.find(b"\xe0\x7f\x10\x00")
    for _ in range(chance.choice((1, 1, 2, 5))):
        where, kind = chance.randrange(132, header_end), chance.random()
        if kind < 0.6:
            other[where : where + 1] = bytes([chance.randrange(256)])
        elif kind < 0.8:
            other[where : where + 1] = bytes([chance.choice(b"0123456789\\-. \0")])
        elif kind < 0.9:
            del other[where : where + chance.randrange(1, 9)]
        else:
            del other[chance.randrange(132, len(whole)) :]
    return bytes(other)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_what_is_damaged_is_refused_for_a_reason(kind, tmp_path: Path):
    chance, outcomes = random.Random(kind.name), set()
    names = [name for name in SETS if not kind.modalities or name in kind.modalities]
    files = {name: [path.read_bytes() for path in sorted(phantoms.write(tmp_path / name, SETS[name]()).iterdir())]
             for name in names}  # fmt: skip
    for _ in range(ROUNDS):
        inputs, outputs = tmp_path / "in", tmp_path / "out"
        for folder in (inputs, outputs):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        chosen = list(files[chance.choice(names)])
        which = chance.randrange(len(chosen))
        chosen[which] = damaged(chosen[which], chance)
        for number, content in enumerate(chosen):
            (inputs / f"{number}.dcm").write_bytes(content)
        try:
            with warnings.catch_warnings(action="ignore"):
                perform(kind.name, str(inputs), str(outputs), NEEDED.get(kind.name, {}), WORKITEM)
            outcomes.add("made")
        except errors.CannotProcess as error:
            assert str(error)
            outcomes.add("refused")
    assert "refused" in outcomes
