"""A new instance of some frames of another one (PS3.4 Y.3.3). Runs in worker processes only.

Start with `extraction`. `layout` finds out where everything lies, `pixels` takes the frames out without decoding one,
`times` tells when they were, `attributes` changes what says something of the frames, `cine` and `nuclear` and `masks`
what one kind of image says of them, `overlays` the planes that go with frames, `tiles` gives those of a whole slide
the positions that went without saying.
"""
