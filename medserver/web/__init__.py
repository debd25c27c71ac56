"""The end for those who speak HTTP: DICOMweb (PS3.18). Start at `application`, and at the table in `routes`.

What is done is done by the operations that the DIMSE services use too.
"""
