"""TLS: certificates as records, whether one proves who shows it, the contexts of OpenSSL, keys (PS3.15 B.12, B.13).

Everything here is pure, or reads files that the configuration names; connections are in `medserver.wire`.

pyOpenSSL is used in place of Python's `ssl` module: that ends the handshake at an unknown client certificate, of
which no fingerprint could be shown or approved then. Here the handshake proves that the peer has the private key of its
certificate, and nothing else; whether the certificate is that of an AE is decided by `judgement.judge`, when the
A-ASSOCIATE request says which AE it claims to be.

Start with `certificate.Certificate`, `judgement.judge` and `contexts`.
"""
