"""The way out: DIMSE services of remote AEs, as SCU.

`verification`, `storage`, `query` and `retrieve` each hold the functions of one service class over an open
association (`medserver.wire.requestor.associate`). What is sent, and when, is decided elsewhere.
"""
