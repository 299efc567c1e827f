"""Makes the files that ``tests/test_old_files.py`` reads: ``python -m tests.old_files.make``.

Everything that textok writes and reads again, of the smallest size, in an archive named after the
version that wrote it, with the numbers that this version gets out of it. Run it once for a version
whose formats differ from those of the last archive. Archives are added, never changed: they stand
for the files that users have.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests.old_files import read
from textok import __version__
from textok.cli.main import main
from textok.config import (
    TrainGeneratorConfig,
    TrainMaskGITConfig,
    TrainTokenizerConfig,
    TrainVQGANConfig,
)
from textok.config.presets import preset_names
from textok.config.read import to_yaml

HERE = Path(__file__).parent
WORDS = ["a", "red", "blue", "green", "dog", "cat", "circle", "on", "white", "two", "large"]
SPLITS = {"train": 12, "val": 4, "test": 8}
ENCODER = "text-encoder"


def make(folder: Path) -> None:
    """Fill ``folder``."""
    shutil.copytree(HERE / "recipes", folder / "recipes")
    os.chdir(folder)
    save_pictures(Path("data"))
    save_text_encoder(Path(ENCODER))
    train_and_keep()
    for name, words in read.PICTURES.items():
        textok(["generate", *words, "--model", f"models/{name}", *read.GENERATE])
    evaluate()
    save_settings(Path("settings"))
    save_file(read.numbers(), "numbers.safetensors")


def textok(words: str | list[str]) -> None:
    assert main(words.split() if isinstance(words, str) else words) == 0, words


def train_and_keep() -> None:
    """Each training of ``recipes`` with its checkpoint after two of four steps, and its model."""
    for name, kind in read.TRAININGS.items():
        textok(f"train {kind} recipes/{name}.yaml")
        run = Path("runs", name)
        lines = (run / "log.jsonl").read_text().splitlines(keepends=True)
        (run / "log.jsonl").write_text("".join(lines[:2]))
        Path(run, "next.json").write_text(json.dumps(read.next_steps(lines), indent=1) + "\n")
        Path("models").mkdir(exist_ok=True)
        (run / "model").rename(f"models/{name}")
        shutil.rmtree(run / "checkpoints/step-00000004")
        for part in ("sheets", "tensorboard"):
            shutil.rmtree(run / part)
        for part in ("report.md", "curves.png"):
            (run / part).unlink()
        if name not in read.CONTINUED:
            shutil.rmtree(run)
        shake(Path("models", name))
        if name in ("gan", "vq"):
            latents = {"gan": "kl", "vq": "vq"}[name]
            textok(
                f"extract models/{name} data latents/{latents} --flip --text-cache text-cache "
                "--device cpu --workers 0"
            )


def evaluate() -> None:
    """A report of each evaluation; of reconstruction three, which can be compared."""
    rest = "data --device cpu --workers 0 --feature-network efficientnet_lite0"
    for name in ("gan", "vq", "flow"):
        textok(
            f"evaluate reconstruction models/{name} {rest} --text-cache text-cache "
            f"--out reports/{name}"
            + (" --num-tokens 2 --pca --pca-cache pca-cache" if name == "gan" else "")
        )
    for name in ("dit-text", "dit-class"):
        textok(f"evaluate generation models/{name} {rest} --num-images 12 --out reports/{name}")
    for report in Path("reports").iterdir():
        for file in report.iterdir():
            if file.name != "report.json":
                file.unlink()
    # The name is of the absolute paths of the pictures.
    (cached,) = Path("pca-cache").iterdir()
    cached.rename("pca-cache/pca.safetensors")


def shake(model: Path) -> None:
    """Weights so large that the output depends on all of them, even after four steps."""
    torch.manual_seed(0)
    for path in sorted(model.rglob("*.safetensors")):
        if "tokenizer" in path.parts and model != path.parent:
            continue  # shaken already
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        tensors = {
            name: (value + 0.2 * torch.randn_like(value)).bfloat16().float()  # half as large packed
            for name, value in load_file(path).items()
        }
        save_file(tensors, path, metadata)


def save_settings(folder: Path) -> None:
    """Settings with every setting written: defaults, presets, and values that no preset has."""
    kinds = {
        "tokenizer": TrainTokenizerConfig(),
        "vqgan": TrainVQGANConfig(),
        "generator": TrainGeneratorConfig(),
        "maskgit": TrainMaskGITConfig(),
    }
    for kind, defaults in kinds.items():
        (folder / kind).mkdir(parents=True)
        (folder / kind / "defaults.yaml").write_text(to_yaml(defaults))
        others = read.settings(kind, f"recipes/settings/{kind}.yaml")
        (folder / kind / "others.yaml").write_text(to_yaml(others))
        for preset in preset_names():
            config = read.settings(kind, preset)
            if config is not None:  # else it is a preset of another kind
                (folder / kind / f"{preset}.yaml").write_text(to_yaml(config))


def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without owner and time."""
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def save_pictures(folder: Path) -> None:
    """Squares of a colour on white, in two classes, with a caption each."""
    random = np.random.default_rng(0)
    for split, count in SPLITS.items():
        for index in range(count):
            pixels = np.full((16, 16, 3), 255, np.uint8)
            pixels[4:12, 2 + index % 4 : 10] = random.integers(0, 255, 3)
            target = folder / split / ("dog", "cat")[index % 2]
            target.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(target / f"{index:02d}.png")
            words = " ".join(random.choice(WORDS, 3))
            (target / f"{index:02d}.txt").write_text(f"{words}\n")


def save_text_encoder(folder: Path) -> None:
    """A T5 encoder of width 8 that knows eleven words."""
    vocab = {word: index for index, word in enumerate(["<pad>", "<unk>", "</s>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", vocab["</s>"])]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=len(vocab), d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2
    )
    transformers.T5EncoderModel(config).save_pretrained(folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        make(Path(place, "files"))
        with tarfile.open(HERE / f"{__version__}.tar.xz", "x:xz", preset=9) as archive:
            archive.add(Path(place, "files"), __version__, filter=anonymous)
        os.chdir(HERE)
