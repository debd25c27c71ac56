"""What is received goes by itself to where it is wanted: the rules of config.ini, and the outbox.

Start with `routing` (which rule wants what), then `sending` (the outbox is worked off). What waits in the outbox are
jobs of the kind `deliver`, one for each instance and destination.
"""
