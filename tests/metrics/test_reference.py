from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.frechet import FeatureStatistics, frechet_distance
from textok.metrics.reference import open_reference

FEATURES = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def network(name: str, metric: str, width: int) -> FeatureNetwork:
    return FeatureNetwork(
        name=name, metric=metric, width=width, protocol="", extract=lambda images: images
    )


FID, SFID = network("inception", "FID", 4), network("inception_spatial", "sFID", 3)


def written(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def moments(width: int) -> dict[str, Any]:
    values = FEATURES[:, :width].numpy()
    return {"mu": values.mean(axis=0), "sigma": np.cov(values, rowvar=False)}


def test_distance_from_a_file_is_that_from_its_samples(tmp_path: Path) -> None:
    spatial = moments(3)
    adm = written(
        tmp_path / "adm.npz",
        **moments(4),
        mu_s=spatial["mu"].astype(np.float32),
        sigma_s=spatial["sigma"].astype(np.float32),
        arr_0=np.zeros((2, 8, 8, 3), np.uint8),
    )
    reference = open_reference(adm)
    whole, part = FeatureStatistics.of(FEATURES), FeatureStatistics.of(FEATURES[:, :3])
    other = FeatureStatistics.of(FEATURES[:20] * 2 + 1)

    assert reference.has_images and reference.has_statistics(SFID)
    assert frechet_distance(reference.statistics(FID), other) == pytest.approx(
        frechet_distance(whole, other), rel=1e-12
    )
    assert frechet_distance(reference.statistics(SFID), part) == pytest.approx(0, abs=1e-6)


def test_pytorch_fid_has_no_spatial_statistics(tmp_path: Path) -> None:
    reference = open_reference(written(tmp_path / "fid.npz", **moments(4)))

    assert reference.statistics(FID).mean.dtype == torch.float64
    assert not reference.has_images and not reference.has_statistics(SFID)
    with pytest.raises(ValueError, match=r"fid\.npz: no mu_s and sigma_s for sFID; it holds mu, s"):
        reference.statistics(SFID)
    with pytest.raises(ValueError, match="no images, arr_0"):
        next(reference.images(2))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_pictures_come_in_batches(save: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)
    path = tmp_path / "images.npz"
    save(path, arr_0=pixels, arr_1=np.arange(5))
    reference = open_reference(path)
    batches = list(reference.images(2))

    assert reference.image_shape == (5, 6, 4)
    assert [batch.shape for batch in batches] == [(2, 3, 6, 4), (2, 3, 6, 4), (1, 3, 6, 4)]
    whole = torch.cat(batches)
    assert whole.dtype == torch.float32
    np.testing.assert_array_equal(
        ((whole + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy(), pixels
    )


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (moments(3), "mu has 3 features, but FID has 4: statistics of another network"),
        (
            {"mu": np.zeros(4), "sigma": np.zeros((3, 3))},
            r"mu of shape \(4,\) and sigma of shape \(3, 3\) are no mean and covariance",
        ),
        ({"mu": np.zeros(4), "sigma": np.triu(np.ones((4, 4)))}, "sigma is not symmetric"),
        ({"mu": np.full(4, np.nan), "sigma": np.eye(4)}, "mu has values that are no number"),
        ({"mu": np.array(["a"] * 4), "sigma": np.eye(4)}, "mu is <U1 .*: no numbers"),
        ({"mu": np.array([Path(), 1.0] * 2), "sigma": np.eye(4)}, "mu cannot be read .*pickle"),
    ],
)
def test_statistics_that_do_not_fit(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    reference = open_reference(written(tmp_path / "wrong.npz", **arrays))

    with pytest.raises(ValueError, match=rf"wrong\.npz: {message}") as caught:
        reference.statistics(FID)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "pictures",
    [
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.asfortranarray(np.zeros((2, 8, 8, 3), np.uint8)),
    ],
)
def test_pictures_of_another_kind(pictures: Any, tmp_path: Path) -> None:
    reference = open_reference(written(tmp_path / "wrong.npz", arr_0=pictures))

    with pytest.raises(ValueError, match=r"arr_0 is .*: images are uint8 \(N, H, W, 3\)"):
        next(reference.images(2))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no\.npz: no such file"):
        open_reference(tmp_path / "no.npz")
    single = tmp_path / "one.npy"
    np.save(single, np.zeros(3))
    with pytest.raises(ValueError, match=r"one\.npy: not an npz file"):
        open_reference(single)
    with pytest.raises(ValueError, match=r"neither statistics .* nor images .*; it holds acts"):
        open_reference(written(tmp_path / "other.npz", acts=np.zeros(3)))
    cut = written(tmp_path / "cut.npz", **moments(4))
    data = cut.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"cut\.npz: not an npz file"):
        open_reference(cut)


def test_damage_within(tmp_path: Path) -> None:
    path = written(tmp_path / "bad.npz", arr_0=np.zeros((2, 8, 8, 3), np.uint8), **moments(4))
    data = bytearray(path.read_bytes())
    data[data.index(b"NUMPY") + 200] ^= 255  # a pixel: the checksum no longer holds
    path.write_bytes(data)

    with pytest.raises(ValueError, match=r"bad\.npz: arr_0 is damaged"):
        list(open_reference(path).images(2))
