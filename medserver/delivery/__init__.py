"""What is received goes by itself to where it is wanted: the rules of config.ini, and the outbox.

Start with `routing` (which rule wants what) and `outbox` (the kinds of jobs that wait), then `sending` (instances go),
`confirming` (and are safe there), `notifying` and `performed_steps` (what else is told). `holding` waits for complete
studies, by `evidence`.
"""
