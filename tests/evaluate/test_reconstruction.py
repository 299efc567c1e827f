from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from tests.evaluate.conftest import reconstruct
from tests.together import together
from textok.config import DataConfig
from textok.data import open_captioned_images
from textok.data.pixels import to_tensor
from textok.evaluate import Report, read_report, reconstruction
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.image import from_8bit, psnr, to_8bit
from textok.metrics.pca import fit_pca
from textok.pipeline import Reconstructor

TEST, SIZE = 9, 16


def data(pictures: Path, split: str = "test") -> DataConfig:
    return DataConfig(path=str(pictures), split=split, workers=0)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, pictures: Path, model: Callable[[str], Path]
) -> Path:
    """A whole evaluation with every caption mode, two budgets and PCA."""
    out = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction, "load_feature_network", few_features)
        reconstruct(
            model("both"),
            data(pictures),
            out,
            num_tokens=[4, 2],
            pca=True,
            pca_cache=out / "pca",
            batch_size=4,
            sheet_rows=3,
        )
    return out


def few_features(name: str, **settings: object) -> FeatureNetwork:
    """The means of 4 x 4 pixels in place of a network: a distance that takes no time."""
    return FeatureNetwork(
        name=name,
        metric="FD-means",
        width=48,
        protocol="means of 4 x 4 pixels",
        extract=lambda images: functional.avg_pool2d(images, 4).flatten(1),
    )


@pytest.fixture(scope="module")
def report(folder: Path) -> Report:
    return read_report(folder / "report.json")


def originals(pictures: Path, split: str) -> torch.Tensor:
    images = open_captioned_images(data(pictures, split), image_size=SIZE)
    return torch.stack([to_tensor(images.read(index)) for index in range(len(images))])


def test_rows_are_every_way_at_every_budget(report: Report) -> None:
    sources = ["true", "plain", "absent", "shuffled", "pca"]

    assert [(row.source, row.floats) for row in report.rows] == [
        (source, floats) for floats in (4, 8) for source in sources
    ]
    assert [row.bits for row in report.rows] == [64] * 5 + [128] * 5
    assert [row.tokens for row in report.rows] == [2] * 4 + [None] + [4] * 4 + [None]


def test_psnr_is_that_of_the_pipeline(
    report: Report, pictures: Path, model: Callable[[str], Path]
) -> None:
    images = originals(pictures, "test")
    records = open_captioned_images(data(pictures), image_size=SIZE).records
    captions = [record.captions[0] for record in records]
    reconstructor = Reconstructor.from_pretrained(model("both"))
    latents = reconstructor.encode(images, captions, num_tokens=2)
    made = from_8bit(to_8bit(reconstructor.decode_tensor(latents, captions)))
    row = report.row("true", 4)
    assert row is not None

    assert row.metrics["psnr"].mean == pytest.approx(psnr(made, images).mean().item(), abs=2e-3)


def test_pca_row_is_fitted_on_the_train_split(report: Report, pictures: Path) -> None:
    pca = fit_pca(to_8bit(originals(pictures, "train")), 8)
    images = originals(pictures, "test")
    made = from_8bit(to_8bit(pca.decode(pca.encode(images))))
    row = report.row("pca", 8)
    assert row is not None

    assert row.metrics["psnr"].mean == pytest.approx(psnr(made, images).mean().item(), abs=2e-3)


def test_an_untrained_tokenizer_fails_the_gate(report: Report, folder: Path) -> None:
    assert [gate.passed for gate in report.gates] == [False, False]
    assert "**not passed**" in (folder / "report.md").read_text()


def test_protocol_is_written(report: Report, pictures: Path) -> None:
    assert report.metric == "FD-means"
    assert report.protocol["data"] == str(pictures)
    assert (report.protocol["split"], report.protocol["images"]) == ("test", TEST)
    assert report.protocol["crop"] == "shorter side to 16 px (Lanczos), central square"
    assert report.protocol["precision"] == "fp32; feature networks and metrics in float32"
    assert report.protocol["feature network"] == "means of 4 x 4 pixels"
    assert set(report.protocol["captions"]) == {"true", "plain", "absent", "shuffled"}
    assert report.protocol["versions"]["torch"] == torch.__version__
    assert report.protocol["command"].startswith("none: ")  # no command line made it
    assert report.warnings == [
        "9 images are fewer than the 48 features: the Frechet distance is biased upwards and "
        "compares only with values from the same 9 images"
    ]


def test_sheet_has_a_row_a_picture(folder: Path) -> None:
    sheet = Image.open(folder / "sheet.png")

    assert sheet.width > 6 * 128  # the original, four caption modes, PCA, and captions
    assert sheet.height > 3 * 128


def test_fitted_components_are_kept_and_used(
    folder: Path,
    report: Report,
    pictures: Path,
    model: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconstruction, "load_feature_network", few_features)
    (path,) = (folder / "pca").iterdir()
    before = path.stat().st_mtime_ns
    again = reconstruct(
        model("none"), data(pictures), tmp_path, pca=True, pca_cache=folder / "pca", batch_size=4
    )

    assert path.stat().st_mtime_ns == before
    assert [row.source for row in again.rows] == ["absent", "pca"]
    assert again.row("pca", 8) == report.row("pca", 8)

    shutil.copytree(folder / "pca", tmp_path / "pca")
    (tmp_path / "pca" / path.name).write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"pca-.*\.safetensors: damaged .*; delete it"):
        reconstruct(model("none"), data(pictures), tmp_path, pca=True, pca_cache=tmp_path / "pca")


def test_a_discrete_tokenizer(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "load_feature_network", few_features)
    report = reconstruct(
        model("vq"), data(pictures), tmp_path, num_tokens=[2, 4], pca=True, batch_size=4
    )
    tokenizer = Reconstructor.from_pretrained(model("vq"))
    images = originals(pictures, "test")
    latents = tokenizer.encode(images)
    codes = latents.codes
    assert codes is not None
    made = from_8bit(to_8bit(tokenizer.decode_tensor(latents.first(2))))

    assert read_report(tmp_path / "report.json").rows == report.rows
    rows = report.rows
    assert [row.source for row in rows] == ["absent", "pca"] * 2
    # 2 log2 11 = 6.9 and 4 log2 11 = 13.8 bits, which one number of PCA holds.
    assert [(row.bits, row.floats) for row in rows] == [(7, 1), (16, 1), (14, 1), (16, 1)]
    assert len(report.gates) == 2
    assert rows[0].metrics["psnr"].mean == pytest.approx(psnr(made, images).mean().item(), abs=2e-3)
    for row, kept in ((rows[0], codes[:, :2]), (rows[2], codes)):
        shares = np.unique(kept, return_counts=True)[1] / kept.numel()
        assert row.codebook is not None
        assert row.codebook.share == pytest.approx(len(shares) / 11)
        assert row.codebook.perplexity == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert 1 < rows[2].codebook.perplexity < 11
    assert rows[1].codebook is None
    assert report.protocol["codebook use"] == "of 11 codes, over the tokens of all images"
    assert report.protocol["rounding"].startswith("PCA codes to float16")


def test_precision_is_of_the_tokenizer_and_in_the_protocol(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "load_feature_network", few_features)
    report = reconstruct(model("none"), data(pictures), tmp_path, precision="bf16", batch_size=9)
    tokenizer = Reconstructor.from_pretrained(model("none"), precision="bf16")
    images = originals(pictures, "test")
    latents = tokenizer.encode(images)
    latents = replace(latents, mean=latents.mean.half().float())
    made = from_8bit(to_8bit(tokenizer.decode_tensor(latents)))

    assert report.protocol["precision"] == "bf16; feature networks and metrics in float32"
    found = report.rows[0].metrics["psnr"].mean
    assert found == pytest.approx(psnr(made, images).mean().item(), abs=1e-5)
    with pytest.raises(ValueError, match="precision is tf32, which is for CUDA devices, not cpu"):
        reconstruct(model("none"), data(pictures), tmp_path / "no", precision="tf32")
    assert not (tmp_path / "no").exists()


def test_limit_takes_images_from_everywhere(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path
) -> None:
    report = reconstruct(model("none"), data(pictures), tmp_path, limit=3, sheet_rows=1)

    assert report.metric == "FD-EffLite0"
    assert report.protocol["images"] == 3
    assert report.protocol["selection"] == f"evenly spaced over {TEST}"


def test_budgets_beyond_the_tokenizer(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"num_tokens \[5\]: this tokenizer has 1 to 4"):
        reconstruct(model("none"), data(pictures), tmp_path, num_tokens=[5])


@pytest.mark.parametrize(
    ("split", "settings", "message"),
    [
        ("bare", {"caption_modes": ["true"]}, r"bare has none of the captions asked for: true"),
        ("bare", {"limit": 1}, r"a Frechet distance needs at least 2 images, not 1"),
        ("bare", {"batch_size": 0}, r"batch_size is 0: it must be >= 1"),
        ("alone", {}, r"a Frechet distance needs at least 2 images, not 1"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(
    split: str,
    settings: dict[str, Any],
    message: str,
    pictures: Path,
    model: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    for folder, count in {"bare": 3, "alone": 1}.items():
        (tmp_path / folder).mkdir()
        for index in range(count):
            shutil.copy(pictures / "test" / f"{index:02d}.png", tmp_path / folder)
    config = DataConfig(path=str(tmp_path / split), workers=0)
    with pytest.raises(ValueError, match=message):
        reconstruct(model("both"), config, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "measure", lambda *a, **k: pytest.fail("measured"))
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is a file: name a folder"):
        reconstruct(model("none"), data(pictures), tmp_path / "file")


def test_pca_is_never_fitted_on_what_it_is_measured_on(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path
) -> None:
    unsplit = DataConfig(path=str(pictures / "test"), workers=0)

    with pytest.raises(ValueError, match="fitted on images that it is measured on"):
        reconstruct(model("none"), unsplit, tmp_path, pca=True)


def test_two_processes_find_what_one_finds(
    pictures: Path, model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "load_feature_network", few_features)
    one = reconstruct(model("vq"), data(pictures), tmp_path / "one", batch_size=2)
    monkeypatch.setenv("WORLD_SIZE", "2")
    arguments = (tmp_path / "store", model("vq"), data(pictures), tmp_path / "two")
    together(_evaluate, *arguments, processes=2)
    two = json.loads((tmp_path / "two" / "report.json").read_text())

    assert two["protocol"]["images"] == TEST
    assert two["rows"][0]["metrics"]["psnr"]["mean"] == one.rows[0].metrics["psnr"].mean
    assert two["rows"][0]["metrics"]["psnr"]["low"] == one.rows[0].metrics["psnr"].low
    assert two["rows"][0]["frechet"] == pytest.approx(one.rows[0].frechet, rel=1e-9)
    assert one.rows[0].codebook is not None
    assert two["rows"][0]["codebook"] == asdict(one.rows[0].codebook)


def _evaluate(rank: int, store: Path, model: Path, config: DataConfig, out: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reconstruction, "load_feature_network", few_features)
        reconstruct(model, config, out, batch_size=2)
    torch.distributed.barrier()  # gloo may abort where one leaves while the other still reads
    torch.distributed.destroy_process_group()
