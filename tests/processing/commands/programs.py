"""External programs for tests: scripts that are written into a folder, and started as any other program is."""

from __future__ import annotations

import sys
from pathlib import Path

MERCURE = """
import json, os
from pathlib import Path
import pydicom
from pydicom.uid import generate_uid

# As the modules of mercure go about it: files of a series have its UID before '#', settings stand in task.json
inputs, outputs = Path(os.environ["MERCURE_IN_DIR"]), Path(os.environ["MERCURE_OUT_DIR"])
task = json.loads((inputs / "task.json").read_text())
settings = task.get("process", {}).get("settings", {})
series = {}
for entry in os.scandir(inputs):
    if entry.name.endswith(".dcm") and not entry.is_dir():
        series.setdefault(entry.name.split("#", 1)[0], []).append(entry.name)
for uid, names in series.items():
    new_series = generate_uid()
    for name in names:
        dataset = pydicom.dcmread(inputs / name)
        assert dataset.SeriesInstanceUID == uid
        dataset.SeriesInstanceUID, dataset.SOPInstanceUID = new_series, generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.SeriesDescription = "offset by " + str(settings["offset"])
        dataset.PixelData = (dataset.pixel_array + int(settings["offset"])).astype("uint16").tobytes()
        dataset.save_as(outputs / f"{new_series}#{dataset.SOPInstanceUID}.dcm")
(outputs / "result.json").write_text(json.dumps({"__mercure_notification": {"text": "all is well"}, "offset": 1}))
"""

MONAI = """
import os, sys
from pathlib import Path
import pydicom
from pydicom.uid import generate_uid

# As an application of MONAI Deploy does: options of the command line go before the variables
inputs = Path(os.environ["MONAI_INPUTPATH"]) if len(sys.argv) < 5 else Path(sys.argv[2])
outputs = Path(os.environ["HOLOSCAN_OUTPUT_PATH"]) if len(sys.argv) < 5 else Path(sys.argv[4])
assert Path(os.environ["HOLOSCAN_INPUT_PATH"]) == inputs and Path(os.environ["MONAI_OUTPUTPATH"]) == outputs
assert os.environ["PARAMETER_LEVEL"] == "3"
datasets = [pydicom.dcmread(path) for path in sorted(inputs.rglob("*.dcm"))]
one = datasets[0]
one.SeriesInstanceUID, one.SOPInstanceUID = generate_uid(), generate_uid()
one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
one.SeriesDescription = "found in " + str(len(datasets))
(outputs / "segments").mkdir()
one.save_as(outputs / "segments" / "one.dcm")
(outputs / "report.json").write_text("{}")
"""

CHANGE = """
import shutil, os
from pathlib import Path
import pydicom

# Many a module changes a copy and leaves its UIDs as they were
for path in sorted(Path(os.environ["MERCURE_IN_DIR"]).glob("*.dcm")):
    dataset = pydicom.dcmread(path)
    dataset.PixelData = (dataset.pixel_array // 2).astype("uint16").tobytes()
    dataset.save_as(Path(os.environ["MERCURE_OUT_DIR"], path.name))
"""

_MAKES_ONE = """
import os, sys
from pathlib import Path
import pydicom
from pydicom.uid import generate_uid
outputs = Path(os.environ["MERCURE_OUT_DIR"])
source = sorted(Path(os.environ["MERCURE_IN_DIR"]).glob("*.dcm"))[0]
one = pydicom.dcmread(source)
def save(dataset, name):
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(outputs / name)
one.SeriesInstanceUID, one.SOPInstanceUID = generate_uid(), generate_uid()
"""

HANG = "import time\ntime.sleep(1000)"

FORK = """
import os, sys, time
first = os.getpid()
# A child in the same group, one in a session of its own, and one whose parent has gone
for detached in (0, 1, 2):
    if os.fork() == 0:
        if detached:
            os.setsid()
        if detached == 2 and os.fork():
            os._exit(0)
        break
Path = __import__("pathlib").Path
Path(os.environ["PIDS"], str(os.getpid())).touch()
time.sleep(1000)
"""

FORK_AND_LEAVE = FORK.replace("time.sleep(1000)", """
if os.getpid() != first:
    time.sleep(1000)
while len(os.listdir(os.environ["PIDS"])) < 4:
    time.sleep(0.01)
""")

CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"
MEMORY = "keep = [bytearray(64 * 2**20) for _ in range(100)]"
MESSAGE = "import sys\nprint('begun')\nsys.stderr.write('no lung in these images\\n')\nsys.exit(3)"
NOTHING = "print('done')"
NONSENSE = _MAKES_ONE + "save(one, 'a.dcm')\n(outputs / 'b.dcm').write_bytes(os.urandom(5000))"
LINK = _MAKES_ONE + "save(one, 'a.dcm')\n(outputs / 'b.dcm').symlink_to(source)"
HARD_LINK = _MAKES_ONE + "save(one, 'a.dcm')\nos.link(source, outputs / 'b.dcm')"
PIPE = _MAKES_ONE + "save(one, 'a.dcm')\nos.mkfifo(outputs / 'b.dcm')"
OTHER_PATIENT = _MAKES_ONE + """
save(one, 'a.dcm')
one.SOPInstanceUID, one.PatientID = generate_uid(), 'P2'
save(one, 'b.dcm')
"""
OTHER_STUDY = _MAKES_ONE + "one.StudyInstanceUID = generate_uid()\nsave(one, 'a.dcm')"
SAME_TWICE = _MAKES_ONE + "save(one, 'a.dcm')\nsave(one, 'b.dcm')"
DANGLING = _MAKES_ONE + """
from pydicom.dataset import Dataset
item = Dataset()
item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.SOPClassUID, "1.2.3.4.5"
one.SourceImageSequence = [item]
save(one, 'a.dcm')
"""
HUGE = """
import os
with open(os.environ["MERCURE_OUT_DIR"] + "/a.dcm", "wb") as file:
    while True:
        file.write(bytes(2**20))
"""
MANY_BYTES = """
import itertools, os, time
for number in itertools.count():
    with open(os.environ["MERCURE_OUT_DIR"] + f"/{number}.dat", "wb") as file:
        file.write(bytes(2**18))
    time.sleep(0.01)
"""
MANY_FILES = """
import itertools, os, time
for number in itertools.count():
    open(os.environ["MERCURE_OUT_DIR"] + f"/{number}", "w").close()
    time.sleep(0.001)
"""
LOCKED = _MAKES_ONE + """
save(one, 'a.dcm')
(outputs / 'd' / 'e').mkdir(parents=True)
(outputs / 'd').chmod(0)
sys.exit(4)
"""


def write(folder: Path, name: str, text: str) -> Path:
    """Write a program of Python into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path
