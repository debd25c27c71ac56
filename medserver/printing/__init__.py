"""Hard copy: films and pages are composed, and handed over to printers.

Start with `film` (what is to be printed, whoever has asked), then `queue` (a film is asked for: durable when that
returns), `performing` (the job that prints one), and `printers` (what takes pages: PDF folder, IPP, DICOM imager).
"""
