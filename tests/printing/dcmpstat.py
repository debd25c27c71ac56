"""DCMTK's print programs as Print SCU: dcmpsprt renders images to a stored print, dcmprscu prints it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.peers import Address
from tests.peers.process import Completed, run
from tests.printing.raw_scu import lut_table

CONFIGURATION = """\
[[GENERAL]]
[APPLICATION]
LogDirectory = {folder}
LogFile = general.log
LogLevel = INFO
[PRINT]
Spooler = dcmprscu
Directory = {folder}
DetailedLog = true
DeletePrintJobs = false
[DATABASE]
Directory = {folder}/database
[LUT]
Directory = {folder}
[NETWORK]
aetitle = {calling}
[[LUT]]
[TABLE]
Description = a table
Filename = table.dcm
[[COMMUNICATION]]
[PEER]
Aetitle = {address.ae_title}
Description = medserver
Hostname = {address.host}
Port = {address.port}
Type = PRINTER
Annotation = 1\\ANNOTATION
BorderDensity = 150\\20\\BLACK\\WHITE
DisableNewVRs = false
DisplayFormat = 1,1\\1,2\\2,2\\2,3\\3,3\\3,4
EmptyImageDensity = 20\\BLACK\\WHITE
FilmDestination = MAGAZINE\\PROCESSOR
FilmSizeID = 14INX17IN\\A4\\8INX10IN
ImplicitOnly = {implicit}
MagnificationType = REPLICATE\\BILINEAR\\CUBIC\\NONE
MaxDensity = 320\\280
MediumType = PAPER\\CLEAR FILM\\BLUE FILM
MinDensity = 20
PresentationLUTMatchRequired = false
PresentationLUTPreferSCPRendering = true
PresentationLUTinFilmSession = {lut_in_session}
ResolutionID = STANDARD\\HIGH
SmoothingType = NONE
Supports12Bit = {deep}
SupportsDecimateCrop = true
SupportsImageSize = true
SupportsPresentationLUT = true
SupportsTrim = true
"""


class PrintPrograms:
    """The programs, with their folder, which has a Presentation LUT with a table, TABLE.

    Parameters
    ----------
    folder : Path
        An empty folder: configuration, database and stored prints.
    address : Address
        The printer.
    calling : str
        The AE title that they call with.
    implicit, lut_in_session, deep : bool
        Whether they propose Implicit VR alone, refer to the Presentation LUT in the film session, and send 12 bits.
    """

    def __init__(
        self,
        folder: Path,
        address: Address,
        calling: str = "DCMPRINT",
        *,
        implicit: bool = False,
        lut_in_session: bool = False,
        deep: bool = True,
    ) -> None:
        self._folder = folder
        self._configuration = folder / "dcmpstat.cfg"
        (folder / "database").mkdir(parents=True)
        flags = {"implicit": implicit, "lut_in_session": lut_in_session, "deep": deep}
        texts = {name: str(value).lower() for name, value in flags.items()}
        text = CONFIGURATION.format(folder=folder, address=address, calling=calling, **texts)
        self._configuration.write_text(text)
        table = FileDataset(folder / "table.dcm", {}, preamble=bytes(128))
        table.file_meta = FileMetaDataset()
        table.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        table.SOPClassUID, table.SOPInstanceUID = "1.2.840.10008.5.1.1.23", "1.2.9"
        table.PresentationLUTSequence = lut_table(4096, 12)
        table.save_as(folder / "table.dcm", enforce_file_format=True)

    def render(self, images: Sequence[Path], *options: str) -> list[Path]:
        """Make stored prints of images with dcmpsprt, and return their files."""
        before = self._stored()
        done = run(["dcmpsprt", "-c", self._configuration, "-p", "PEER", *options, *images])
        assert done.exit_code == 0, done.output
        return sorted(self._stored() - before)

    def print(self, prints: Sequence[Path], *options: str) -> Completed:
        """Print stored prints with dcmprscu, and return what it has told, every message of it."""
        return run(["dcmprscu", "-c", self._configuration, "-p", "PEER", "+d", "-v", *options, *prints])

    def _stored(self) -> set[Path]:
        return set((self._folder / "database").glob("SP_*"))
