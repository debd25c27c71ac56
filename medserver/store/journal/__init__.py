"""The journal of a directory volume: small objects become durable in it first, many with one flush."""
