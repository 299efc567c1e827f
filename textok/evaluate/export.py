"""Images as the npz file that the evaluation script of ADM reads (arXiv 2105.05233)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from einops import rearrange
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from textok.runtime.files import atomic_write


def write_npz(
    path: Path,
    pieces: Iterable[Tensor],
    *,
    count: int,
    image_size: int,
    labels: Sequence[int] | None,
) -> None:
    """Write ``arr_0``, uint8 (N, H, W, 3), and ``arr_1``, int64 (N,), where there are labels.

    ``pieces`` are uint8 (b, 3, H, W), N = ``count`` rows together; one is in memory at a time.
    The file appears whole or not at all.
    """
    with (
        atomic_write(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        shape = (count, image_size, image_size, 3)
        arrays = (rearrange(piece, "b c h w -> b h w c").numpy() for piece in pieces)
        _write_member(archive, "arr_0", shape, np.dtype(np.uint8), arrays)
        if labels is not None:
            numbers = [np.asarray(labels, dtype=np.int64)]
            _write_member(archive, "arr_1", (count,), np.dtype(np.int64), numbers)


def _write_member(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[np.generic],
    arrays: Iterable[NDArray[np.generic]],
) -> None:
    """One array of the archive, from its consecutive parts."""
    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    written = 0
    with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
        npy.write_array_header_1_0(stream, header)
        for array in arrays:
            stream.write(np.ascontiguousarray(array).tobytes())
            written += len(array)
    assert written == shape[0]
