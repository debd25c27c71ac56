"""Procedures: what modalities report of the work that they do (performed procedure steps). Start with `performed`."""
