"""The reference of a Frechet distance from a file that others publish: statistics, or images.

Legend: N images, F features.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from textok.config.check import require
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.frechet import Moments
from textok.metrics.image import from_8bit
from textok.runtime.files import file_sha256

STATISTICS = {"inception_spatial": ("mu_s", "sigma_s")}
"""Arrays of a network's mean and covariance; of every other ``mu`` and ``sigma``."""
IMAGES = "arr_0"
ASYMMETRY = 1e-4
"""Of the largest value of a covariance: more is no rounding."""


@dataclass(frozen=True, kw_only=True)
class ReferenceFile:
    """An npz file: ``mu``, ``sigma`` (pytorch-fid, ADM), ``mu_s``, ``sigma_s`` (ADM), ``arr_0``."""

    path: Path
    arrays: frozenset[str]
    """What it holds."""

    @property
    def has_images(self) -> bool:
        """Whether it holds images themselves."""
        return IMAGES in self.arrays

    @property
    def digest(self) -> str:
        """SHA-256 of the file, its first digits."""
        return f"sha256 {file_sha256(self.path)[:16]}"

    def has_statistics(self, network: FeatureNetwork) -> bool:
        """Whether it holds a mean and a covariance for ``network``."""
        return self.arrays.issuperset(_names(network))

    def statistics(self, network: FeatureNetwork) -> Moments:
        """Mean and covariance of the features of ``network``.

        The file does not say whose they are: their number alone can be checked. Raises ValueError
        where they are not there, damaged, or of another number of features.
        """
        mean_name, covariance_name = _names(network)
        if not self.has_statistics(network):
            raise ValueError(
                f"{self.path}: no {mean_name} and {covariance_name} for {network.metric}; it holds "
                f"{', '.join(sorted(self.arrays)) or 'nothing'}"
            )
        mean_F, covariance_FF = (self._numbers(name) for name in (mean_name, covariance_name))
        width = mean_F.size
        require(
            mean_F.shape == (width,) and covariance_FF.shape == (width, width),
            f"{self.path}: {mean_name} of shape {mean_F.shape} and {covariance_name} of shape "
            f"{covariance_FF.shape} are no mean and covariance",
        )
        require(
            width == network.width,
            f"{self.path}: {mean_name} has {width} features, but {network.metric} has "
            f"{network.width}: statistics of another network",
        )
        largest = np.abs(covariance_FF).max()
        require(
            np.abs(covariance_FF - covariance_FF.T).max() <= ASYMMETRY * largest,
            f"{self.path}: {covariance_name} is not symmetric: no covariance",
        )
        symmetric = (covariance_FF + covariance_FF.T) / 2
        return Moments(mean=torch.from_numpy(mean_F), covariance=torch.from_numpy(symmetric))

    def images(self, batch_size: int) -> Iterator[Tensor]:
        """The images in order, (b, 3, H, W) float32 in [-1, 1], read a batch at a time.

        Raises ValueError for an ``arr_0`` that is not uint8 (N, H, W, 3), or is cut off.
        """
        require(self.has_images, f"{self.path}: no images, {IMAGES}")
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{IMAGES}.npy") as stream:
            count, height, width = self._image_shape(stream)
            one = 3 * height * width
            for start in range(0, count, batch_size):
                wanted = min(batch_size, count - start)
                data = self._read(stream, wanted * one)
                # A copy: tensors must be writable.
                pixels = np.frombuffer(data, np.uint8).reshape(wanted, height, width, 3).copy()
                yield from_8bit(rearrange(torch.from_numpy(pixels), "b h w c -> b c h w"))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(N, H, W) of the images. Raises ValueError as ``images`` does."""
        require(self.has_images, f"{self.path}: no images, {IMAGES}")
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{IMAGES}.npy") as stream:
            return self._image_shape(stream)

    def _image_shape(self, stream: IO[bytes]) -> tuple[int, int, int]:
        """Read the header, so that the stream is at the first pixel."""
        try:
            version = np.lib.format.read_magic(stream)
            read: Any = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, by_column, dtype = read(stream)
        except (ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{self.path}: {IMAGES} is damaged ({error})") from error
        good = len(shape) == 4 and shape[-1:] == (3,) and dtype == np.uint8 and not by_column
        require(
            good and math.prod(shape) > 0,
            f"{self.path}: {IMAGES} is {dtype} {tuple(shape)}: images are uint8 (N, H, W, 3)",
        )
        count, height, width, _ = shape
        return count, height, width

    def _read(self, stream: IO[bytes], size: int) -> bytes:
        try:
            data = stream.read(size)
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise ValueError(f"{self.path}: {IMAGES} is damaged ({error})") from error
        require(len(data) == size, f"{self.path}: {IMAGES} is cut off; copy it again")
        return data

    def _numbers(self, name: str) -> NDArray[np.float64]:
        try:
            with np.load(self.path, allow_pickle=False) as stored:
                values = np.asarray(stored[name])
        # Object arrays, damaged archives, headers that promise more than there is.
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise ValueError(f"{self.path}: {name} cannot be read ({reason})") from error
        good = values.dtype.kind in "fiu" and values.size > 0
        require(good, f"{self.path}: {name} is {values.dtype} {values.shape}: no numbers")
        require(
            bool(np.isfinite(values).all()), f"{self.path}: {name} has values that are no number"
        )
        return values.astype(np.float64)


def open_reference(path: Path) -> ReferenceFile:
    """See what an npz file holds, without reading it.

    Raises ValueError for a file that is none, or holds neither statistics nor images.
    """
    require(path.is_file(), f"{path}: no such file of reference statistics or images")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path}: not an npz file ({error}); copy it again") from error
    arrays = frozenset(name.removesuffix(".npy") for name in names)
    known = [{"mu", "sigma"}, {"mu_s", "sigma_s"}, {IMAGES}]
    require(
        any(arrays >= wanted for wanted in known),
        f"{path}: neither statistics (mu and sigma, mu_s and sigma_s) nor images ({IMAGES}); it "
        f"holds {', '.join(sorted(arrays)) or 'nothing'}",
    )
    return ReferenceFile(path=path, arrays=arrays)


def _names(network: FeatureNetwork) -> tuple[str, str]:
    return STATISTICS.get(network.name, ("mu", "sigma"))
