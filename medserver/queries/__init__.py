"""What is asked for, and what matches it: the operation behind C-FIND and QIDO-RS. Start at `matches`.

What becomes of a match on its way out is a matter of the protocol ends.
"""
