"""What somebody writes who needs it once: filters and planes by numpy and scipy, in two processes, files to files."""

from __future__ import annotations

from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from scipy import ndimage

AT_ONCE = 2


def ready(number: int) -> int:
    """Return what was given: the process has started."""
    return number


def bare_denoise(pool: Pool, paths: list[Path], target: Path) -> None:
    """Write each image again, filtered by a Gaussian."""
    series = generate_uid()
    pool.map(partial(_denoise, target, series), paths, chunksize=max(1, len(paths) // AT_ONCE))


def _denoise(target: Path, series: str, path: Path) -> None:
    dataset = dcmread(path)
    smooth = ndimage.gaussian_filter(dataset.pixel_array.astype(np.float32), 1.0, mode="nearest")
    _save(dataset, np.rint(smooth).astype(np.uint16), series, target)


def bare_reformat(pool: Pool, paths: list[Path], target: Path) -> None:
    """Write a coronal plane for each row of the images."""
    series = generate_uid()
    pool.map(partial(_reformat, target, series, paths), [(0, AT_ONCE), (1, AT_ONCE)], chunksize=1)


def _reformat(target: Path, series: str, paths: list[Path], part: tuple[int, int]) -> None:
    datasets = [dcmread(path) for path in paths]
    volume = np.stack([one.pixel_array for one in datasets])[::-1]
    index, count = part
    rows = volume.shape[1]
    for row in range(rows * index // count, rows * (index + 1) // count):
        dataset = datasets[0].copy()
        x, y, _ = (float(value) for value in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, y + row * float(dataset.PixelSpacing[0]), len(paths)]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
        dataset.Rows, dataset.InstanceNumber = volume.shape[0], row + 1
        _save(dataset, volume[:, row, :], series, target)


def _save(dataset: Dataset, pixels: np.ndarray, series: str, target: Path) -> None:
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = generate_uid(), series
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(target / f"{dataset.SOPInstanceUID}.dcm")
