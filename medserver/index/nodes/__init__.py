"""Who shares an index: the nodes, which ways there are to share, and the lock that one work at a time has.

`nodes` are the rows of the nodes, with heartbeats; `topology` says which nodes may share an index; `fence` is what a
transaction looks at before it writes, and `exclusive` what a rebuild, a restore and a migration do to keep others out.
"""
