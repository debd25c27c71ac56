"""What types of processing are made of; runs in worker processes only.

Start with `images` (inputs: headers and stored values) and `results` (what the header of an output says). Then `frames`
(filters of one frame after the other) with `padding`; `geometry` (stacks), `volume` (their voxels) and `planes` (series
of planes through them); `captures` (pictures); `files` (how outputs are written).
"""

from __future__ import annotations

OF_FRAMES = ".frames.dcm"
"""How the name of an input file ends that has some frames of an instance: of which, and which, says the last item of
its Frame Extraction Sequence (PS3.3 C.12.3)."""
