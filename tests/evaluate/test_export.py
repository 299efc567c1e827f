from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from textok.evaluate.export import write_npz


def test_numpy_reads_pictures_and_labels(tmp_path: Path) -> None:
    pictures = torch.randint(0, 256, (5, 3, 4, 4), dtype=torch.uint8)
    path = tmp_path / "samples.npz"
    write_npz(path, iter(pictures.split(2)), count=5, image_size=4, labels=[0, 1, 2, 0, 1])
    with np.load(path) as stored:
        assert stored.files == ["arr_0", "arr_1"]
        assert (stored["arr_0"].dtype, stored["arr_1"].dtype) == (np.uint8, np.int64)
        assert np.array_equal(stored["arr_0"], pictures.permute(0, 2, 3, 1).numpy())
        assert stored["arr_1"].tolist() == [0, 1, 2, 0, 1]


def test_no_labels_and_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    with pytest.raises(AssertionError):
        write_npz(path, [torch.zeros(2, 3, 4, 4).byte()], count=3, image_size=4, labels=None)
    assert not path.exists()

    write_npz(path, [torch.zeros(3, 3, 4, 4).byte()], count=3, image_size=4, labels=None)
    with np.load(path) as stored:
        assert stored.files == ["arr_0"]
    assert [file.name for file in tmp_path.iterdir()] == ["samples.npz"]
