"""Power cuts without root and special devices: what was not flushed is thrown away.

`recorder`
    In the processes of a node: writes every change of a file, of a directory and of SQLite's files, and every flush, to
    a `log` that all processes share.
`disk`
    Plays the log: what of each file and directory is on stable storage, what may be, and what is there after a cut.
"""
