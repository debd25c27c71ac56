"""Every kind of pixels through every encoder, and random ones: `scripts/pixels`."""
