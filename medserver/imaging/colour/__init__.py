"""Colours: palettes, and colour spaces that are not RGB (PS3.3 C.7.6.3.1)."""
