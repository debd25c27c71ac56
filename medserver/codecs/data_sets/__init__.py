"""Data sets of any size are walked through and written anew: in another encoding, character set, or without bulk data.

`survey` collects what later elements say of earlier ones, `rewriter` and those derived from it write. What is done to
the pixels is in `pixels`.
"""
