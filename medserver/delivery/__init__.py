"""What is received goes by itself to where it is wanted: the rules of config.ini, and the outbox.

What the rules want is decided in `medserver.routing`, when an instance comes; here it is done. Start with `sending`
(instances go), then `confirming` (and are safe there), `notifying` and `performed_steps` (what else is told). `holding`
waits for complete studies, by `evidence`; `routing` decides what could not be decided at once.
"""
