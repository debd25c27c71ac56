"""The grayscale transformations: modality LUT, VOI LUT, presentation LUT, padding (PS3.4 N.2.1)."""
