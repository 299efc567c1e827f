"""Pipelines on disk: exact round trip, the parts by themselves, and folders that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import metadata_load
from safetensors.torch import load_file

from textok.generator import DiT
from textok.pipeline import Reconstructor, TextToImage, load_pipeline, save_pipeline
from textok.tokenizer import Tokenizer


@pytest.fixture
def copied(by_class: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(by_class, tmp_path / "copied"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(by_text: Path, by_class: Path, tmp_path: Path) -> None:
    for source, ask in ((by_text, "a dog"), (by_class, "food-fruit")):
        pipe = TextToImage.from_pretrained(source)
        draw = pipe.of_class if pipe.classes else pipe
        again = TextToImage.from_pretrained(pipe.save_pretrained(tmp_path / source.parent.name))
        draw_again = again.of_class if pipe.classes else again
        assert draw_again(ask)[0].tobytes() == draw(ask)[0].tobytes()
        for name in ("text", "sampling", "class_captions"):
            assert getattr(again.parts, name) == getattr(pipe.parts, name)
        assert not again.generator.training and not again.tokenizer.training
        assert again.classes == pipe.classes


def test_what_is_in_the_folder(by_text: Path, by_class: Path) -> None:
    parts = ["README.md", "generator", "pipeline.json", "tokenizer"]
    assert names(by_text) == parts
    assert names(by_class) == sorted([*parts, "captions.json"])
    assert names(by_text.parent) == ["model"]
    card = (by_text / "README.md").read_text()
    assert 'pipe("a red apple", num_images=4, seed=0)' in card
    assert 'of_class("food-fruit"' in (by_class / "README.md").read_text()
    settings = json.loads((by_text / "pipeline.json").read_text())
    assert settings["scale"] == {"mean": [0.5, -1.0], "std": [2.0, 3.0]}
    assert settings["sampling"]["steps"] == 3


def test_the_header_of_a_card(by_text: Path, by_class: Path) -> None:
    tasks = {by_text: "text-to-image", by_class: "unconditional-image-generation"}
    for folder, task in tasks.items():
        header = metadata_load(folder / "README.md")
        assert header is not None and header["library_name"] == "textok"
        assert header["pipeline_tag"] == task and header["tags"][-1] == "textok"


def test_a_card_with_an_example_and_notes(by_text: Path, by_class: Path, tmp_path: Path) -> None:
    for number, (source, call) in enumerate(((by_text, "blue jeans"), (by_class, "food-fruit"))):
        folder = save_pipeline(
            tmp_path / str(number), load_pipeline(source), example="blue jeans", notes="## Data\n"
        )
        card = (folder / "README.md").read_text()
        assert f'("{call}", num_images=4' in card and card.endswith("textok.\n\n## Data\n")


def test_weights_can_be_stored_in_bf16(by_text: Path, tmp_path: Path) -> None:
    folder = save_pipeline(tmp_path / "half", load_pipeline(by_text), precision=torch.bfloat16)
    for part in ("tokenizer", "generator"):
        state = load_file(folder / part / "model.safetensors")
        assert {value.dtype for value in state.values()} == {torch.bfloat16}
    loaded = load_pipeline(folder).generator.embed.weight
    assert torch.equal(
        loaded, load_file(folder / "generator" / "model.safetensors")["embed.weight"].float()
    )


def test_an_older_pipeline_gives_way_and_nothing_else_does(copied: Path, tmp_path: Path) -> None:
    parts = load_pipeline(copied)
    (copied / "captions.json").write_text("{}")
    assert load_pipeline(copied).class_captions == {}
    save_pipeline(copied, parts)
    assert load_pipeline(copied).class_captions == parts.class_captions
    (copied / "thesis.txt").touch()
    with pytest.raises(ValueError, match=r"copied: not a pipeline folder \(thesis.txt\)"):
        save_pipeline(copied, parts)
    assert names(tmp_path) == ["copied"]


def test_files_of_the_same_names_that_are_others_stay(copied: Path, tmp_path: Path) -> None:
    parts, mine = load_pipeline(copied), tmp_path / "mine"
    for name in ("README.md", "config.json", "model.safetensors", "tokenizer", "generator"):
        mine.mkdir(exist_ok=True)
        (mine / name).write_text('{"years": "of work"}')
        with pytest.raises(ValueError, match=rf"mine: not a pipeline folder \({name}\)"):
            save_pipeline(mine, parts)
        if name in ("README.md", "config.json", "model.safetensors"):
            with pytest.raises(ValueError, match=f"holds {name} of something else than a textok"):
                parts.tokenizer.save_pretrained(mine)
        assert names(mine) == [name] and "years" in (mine / name).read_text()
        (mine / name).unlink()
    for _ in range(2):  # empty, then a model of ours
        parts.tokenizer.save_pretrained(mine)


def test_the_folder_that_one_is_in_is_not_replaced(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = load_pipeline(copied)
    monkeypatch.chdir(copied / "tokenizer")
    for folder in ("..", copied, "."):
        with pytest.raises(ValueError, match="you are in it: name it from outside"):
            save_pipeline(folder, parts)
    assert Path.cwd() == copied / "tokenizer"


def test_weights_are_saved_in_floating_point_alone(copied: Path, tmp_path: Path) -> None:
    for precision in (torch.int8, "fp16"):
        with pytest.raises(ValueError, match=r"dtype is .*: give one of torch"):
            save_pipeline(tmp_path / "whole", load_pipeline(copied), precision=precision)
    assert names(tmp_path) == ["copied"]


def test_an_interrupted_save_leaves_the_old_one(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = load_pipeline(copied)
    monkeypatch.setattr(DiT, "save_pretrained", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_pipeline(copied, parts)
    assert names(tmp_path) == ["copied"]
    assert load_pipeline(copied).sampling == parts.sampling


def test_a_pipeline_can_be_named_where_one_of_its_models_can(by_text: Path) -> None:
    parts = load_pipeline(by_text)
    assert Tokenizer.from_pretrained(by_text).config == parts.tokenizer.config
    assert Reconstructor.from_pretrained(by_text).config == parts.tokenizer.config
    assert DiT.from_pretrained(by_text).config == parts.generator.config


def edited(key: str, value: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "pipeline.json"
        data: dict[str, Any] = json.loads(path.read_text())
        *above, last = key.split(".")
        inner = data
        for name in above:
            inner = inner[name]
        inner[last] = value
        path.write_text(json.dumps(data))

    return edit


def removed(name: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def written(name: str, content: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(content)

    return write


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edited("scale.means", [1]), "pipeline.json.scale.means: no such field; did you mean"),
        (edited("scale.mean", ["x", 1]), r"pipeline.json.scale.mean\[0\]: 'x' is not a number"),
        (edited("scale.mean", [1.0]), "scale.mean has 1 numbers, scale.std 2"),
        (edited("scale.std", [1.0, -1.0]), r"scale.std is \[1.0, -1.0\]: none may be below 0"),
        (edited("classes", ["sky", "sea", "sky"]), "classes has sky more than once"),
        (edited("scale", {"mean": [0], "std": [1]}), "scale has 1 channels, the generator has 2"),
        (edited("sampling.steps", 0), "sampling.steps is 0"),
        (edited("sampling.sampler", "magic"), "sampling.sampler: 'magic' is not one of euler"),
        (edited("classes", ["sky"]), "classes has 1 names, the generator has 3 classes"),
        (written("pipeline.json", "{"), "pipeline.json:1: not JSON"),
        (written("pipeline.json", "[]"), "pipeline.json: not a mapping"),
        (written("captions.json", '{"sky": 3}'), "captions.json: sky: not a mapping"),
        (written("captions.json", '{"sky": {"test": []}}'), "sky.test: no such field"),
        (removed("pipeline.json"), "copied: holds a tokenizer but no generator"),
        (removed("generator"), "copied: has no generator/"),
        (removed("generator/model.safetensors"), "generator/model.safetensors: no such file"),
        (removed("tokenizer"), "copied: has no tokenizer/"),
    ],
)
def test_a_folder_that_does_not_fit_says_why(
    damage: Callable[[Path], None], message: str, copied: Path
) -> None:
    damage(copied)
    with pytest.raises(ValueError, match=message) as error:
        TextToImage.from_pretrained(copied)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["by_class", "codes_by_class"])
def test_a_part_of_a_pipeline_is_told_from_it(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    with pytest.raises(ValueError, match="holds a generator without its tokenizer, name the folde"):
        load_pipeline(folder / "generator")
    with pytest.raises(ValueError, match="holds a tokenizer but no generator"):
        load_pipeline(folder / "tokenizer")


def test_a_text_encoder_is_needed_for_prompts(by_text: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(by_text, tmp_path / "copied"))
    edited("text", None)(folder)
    with pytest.raises(ValueError, match=r"pipeline.json: text is missing: the generator reads"):
        load_pipeline(folder)


def test_parts_of_different_pipelines_are_refused(copied: Path) -> None:
    parts = load_pipeline(copied)
    for change, found in (({"num_tokens": 2}, "2 x 2"), ({"channels": 3}, "4 x 3")):
        other = Tokenizer(replace(parts.tokenizer.config, **change))
        other.save_pretrained(copied / "tokenizer")
        with pytest.raises(ValueError, match=f"makes 4 tokens x 2, the tokenizer reads {found}"):
            load_pipeline(copied)


def test_no_folder_and_no_pipeline(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere: no such folder, bundled model"):
        load_pipeline(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"holds no pipeline.json"):
        load_pipeline(tmp_path)


def test_hub_repositories(by_text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def fetch(repo: str, allow_patterns: list[str], **_: object) -> str:
        asked.append(f"fetch {repo} {allow_patterns}")
        return str(by_text)

    class Hub:
        def __init__(self, **_: object) -> None: ...

        def create_repo(self, repo: str, **_: object) -> None:
            asked.append(f"create {repo}")

        def upload_folder(self, *, repo_id: str, folder_path: Path, **_: object) -> str:
            asked.append(f"upload {repo_id} {names(Path(folder_path))}")
            return f"hub:{repo_id}"

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    pipe = TextToImage.from_pretrained("someone/pictures")
    assert pipe.push_to_hub("me/pictures") == "hub:me/pictures"
    Tokenizer.from_pretrained("someone/pictures")
    assert asked == [
        "fetch someone/pictures ['*.json', '*.safetensors', '*.md']",
        "create me/pictures",
        "upload me/pictures ['README.md', 'generator', 'pipeline.json', 'tokenizer']",
        "fetch someone/pictures ['config.json', 'model.safetensors', 'README.md', 'tokenizer/*']",
    ]
