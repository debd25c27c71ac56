"""Which copies are to be verified, repaired or made."""
