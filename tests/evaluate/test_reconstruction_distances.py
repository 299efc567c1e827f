"""Kernel distances and published references in reports of reconstructions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.evaluate.conftest import reconstruct
from tests.evaluate.test_reconstruction import SIZE, TEST, data, few_features, originals
from tests.together import together
from textok.evaluate import compare_reports, read_report, reconstruction
from textok.metrics.image import from_8bit, to_8bit
from textok.pipeline import Reconstructor

Features = NDArray[np.float64]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruction, "load_feature_network", few_features)


@pytest.fixture(scope="module")
def features(pictures: Path, model: Callable[[str], Path]) -> tuple[Features, Features]:
    """(n, F) of the images and of their reconstructions, by the pipeline."""
    images = originals(pictures, "test")
    reconstructor = Reconstructor.from_pretrained(model("none"))
    made = from_8bit(to_8bit(reconstructor.decode_tensor(reconstructor.encode(images))))
    extract = few_features("any").extract
    return extract(images).double().numpy(), extract(made).double().numpy()


@pytest.mark.usefixtures("few")
def test_kernel_distance_by_hand(
    pictures: Path,
    model: Callable[[str], Path],
    features: tuple[Features, Features],
    tmp_path: Path,
) -> None:
    report = reconstruct(
        model("none"), data(pictures), tmp_path, kernel_distance=True, batch_size=4
    )
    real, made = features
    # Every subset is all 9 images: the mean over pairs of different images, in either order.
    kernels = [
        sum(
            (float(x @ y) / 48 + 1) ** 3
            for i, x in enumerate(a)
            for j, y in enumerate(b)
            if a is not b or i != j
        )
        for a, b in ((real, real), (made, made), (real, made))
    ]
    pairs = TEST * (TEST - 1)
    expected = kernels[0] / pairs + kernels[1] / pairs - 2 * kernels[2] / TEST**2
    (row,) = report.rows

    assert list(row.kernel) == ["KD-means"]
    assert row.kernel["KD-means"].mean == pytest.approx(expected, rel=1e-3)
    assert row.kernel["KD-means"].std == pytest.approx(0, abs=1e-12)
    assert row.kernel["KD-means"].subset_size == TEST
    assert report.protocol["kernel distance"].endswith("100 subsets of 9 of either (seed 0)")
    text = (tmp_path / "report.md").read_text()
    assert "| FD-means ↓ | 1000 KD-means ↓ |" in text
    assert f"| {1000 * row.kernel['KD-means'].mean:.3f} ± 0.000 |" in text
    assert read_report(tmp_path / "report.json").rows == report.rows


@pytest.mark.usefixtures("few")
def test_without_the_flag_there_is_none(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path
) -> None:
    report = reconstruct(model("none"), data(pictures), tmp_path)

    assert [row.kernel for row in report.rows] == [{}]
    assert "kernel distance" not in report.protocol
    assert "KD-" not in (tmp_path / "report.md").read_text()


@pytest.mark.usefixtures("few")
def test_frechet_distances_to_a_reference_file(
    pictures: Path,
    model: Callable[[str], Path],
    features: tuple[Features, Features],
    tmp_path: Path,
) -> None:
    settings = {"feature_network": "alexnet", "batch_size": 2}
    own = reconstruct(model("none"), data(pictures), tmp_path / "own", **settings)
    images, statistics = tmp_path / "images.npz", tmp_path / "statistics.npz"
    pixels = to_8bit(originals(pictures, "test")).permute(0, 2, 3, 1).numpy()
    np.savez(images, arr_0=pixels)
    real, made = features
    np.savez(statistics, mu=real.mean(0) + 2, sigma=np.cov(real.T))
    to_images, to_statistics = (
        reconstruct(model("none"), data(pictures), tmp_path / file.stem, reference=file, **settings)
        for file in (images, statistics)
    )

    # The images of the split in a file are the split.
    assert to_images.rows[0].frechet == pytest.approx(own.rows[0].frechet, rel=1e-6)
    assert to_images.rows[0].metrics == own.rows[0].metrics
    shift = made.mean(0) - real.mean(0)
    moved = ((shift - 2) ** 2).sum() - (shift**2).sum()  # the covariances' term is the same
    assert to_statistics.rows[0].frechet == pytest.approx(own.rows[0].frechet + moved, rel=1e-4)
    name = "reference of Frechet distances"
    assert name not in own.protocol
    assert to_images.protocol[name].startswith("images.npz, images; sha256 ")
    assert to_statistics.protocol[name].startswith("statistics.npz, statistics; sha256 ")
    reports = [tmp_path / folder / "report.json" for folder in ("own", "images")]
    with pytest.raises(ValueError, match=r"reference of Frechet distances is .images\.npz, images"):
        compare_reports(reports, tmp_path / "compared")


@pytest.mark.usefixtures("few")
def test_a_reference_of_another_network_is_refused_at_once(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path
) -> None:
    file = tmp_path / "statistics.npz"
    np.savez(file, mu=np.zeros(5), sigma=np.eye(5))
    with pytest.raises(ValueError, match="mu has 5 features, but FD-means has 48"):
        reconstruct(model("none"), data(pictures), tmp_path / "out", reference=file)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("few")
def test_two_processes_find_what_one_finds(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "images.npz"
    pixels = np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)
    np.savez(file, arr_0=pixels)
    one = reconstruct(
        model("none"),
        data(pictures),
        tmp_path / "one",
        batch_size=2,
        kernel_distance=True,
        reference=file,
    )
    monkeypatch.setenv("WORLD_SIZE", "2")
    together(_evaluate, tmp_path, model("none"), str(pictures), processes=2)
    two = read_report(tmp_path / "two" / "report.json")

    assert two.rows[0].frechet == pytest.approx(one.rows[0].frechet, rel=1e-9)
    expected = one.rows[0].kernel["KD-means"].mean
    assert two.rows[0].kernel["KD-means"].mean == pytest.approx(expected, rel=1e-9)


def _evaluate(rank: int, folder: Path, model: Path, pictures: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction, "load_feature_network", few_features)
        reconstruct(
            model,
            data(Path(pictures)),
            folder / "two",
            batch_size=2,
            kernel_distance=True,
            reference=folder / "images.npz",
        )
    torch.distributed.barrier()  # gloo may abort where one leaves while the other still reads
    torch.distributed.destroy_process_group()
