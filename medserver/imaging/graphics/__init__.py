"""What lies over the pixels: overlays, shutters, annotations, markers (PS3.3 C.9, C.7.6.11, C.10.5)."""
