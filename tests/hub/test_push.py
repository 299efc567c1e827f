"""`textok push`, and what is loaded back, against a hub on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard, constants
from huggingface_hub.repocard_data import model_index_to_eval_results

from tests.hub.conftest import TOKEN, tiny_tokenizer
from tests.hub.server import Hub, Repository
from textok.cli.main import main
from textok.evaluate.report import Report, Row
from textok.metrics.interval import Interval
from textok.tokenizer import Tokenizer


def write_report(folder: Path) -> Path:
    psnr = Interval(mean=21.5, low=21.0, high=22.0)
    row = Row(source="absent", tokens=4, floats=8, bits=128, frechet=33.25, metrics={"psnr": psnr})
    report = Report(
        model="model",
        settings={},
        metric="FD-EffLite0",
        protocol={"data": "/somewhere/shoes", "split": "test"},
        rows=[row],
        warnings=[],
    )
    folder.mkdir()
    report.write(folder)
    return folder


def test_a_model_with_a_report_goes_to_the_hub_and_comes_back(
    hub: Hub, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    report = write_report(tmp_path / "report")
    (model / ".cache").mkdir()
    (model / ".cache" / "secret.json").write_text("{}")
    card = (model / "README.md").read_text()
    words = f"push {model} me/shoes --reports {report} --license mit --datasets me/data --token "
    words += f"{TOKEN} --base-model org/base --private"
    assert main(words.split()) == 0

    repo = hub.repositories["me/shoes"]
    names = ["README.md", "config.json", "model.safetensors"]
    assert sorted(repo.files()) == [
        *names,
        "reports/report/report.json",
        "reports/report/report.md",
    ]
    assert repo.private and hub.commits == ["me/shoes@main"]
    assert repo.files()["model.safetensors"] == (model / "model.safetensors").read_bytes()
    assert (model / "README.md").read_text() == card, "the folder stays as it is"
    assert hub.validated == [repo.files()["README.md"].decode()]

    parsed = ModelCard(repo.files()["README.md"].decode()).data
    assert parsed.library_name == "textok" and parsed.pipeline_tag == "image-feature-extraction"
    assert parsed.license == "mit" and parsed.datasets == ["me/data"]
    assert parsed.base_model == ["org/base"] and parsed.tags == ["image-tokenizer", "textok"]
    psnr, distance = parsed.eval_results
    assert (psnr.metric_type, psnr.metric_value) == ("psnr", 21.5)
    assert psnr.metric_name == "PSNR (4 tokens, no captions)"
    assert (psnr.dataset_name, psnr.dataset_split) == ("shoes", "test")
    assert (distance.metric_type, distance.metric_value) == ("fd_efflite0", 33.25)
    name, again = model_index_to_eval_results(parsed.to_dict()["model-index"])
    assert (name, again) == ("shoes", parsed.eval_results)

    told = capfd.readouterr()
    assert "me/shoes" in told.out and TOKEN not in told.out + told.err
    assert not any(TOKEN.encode() in content for content in repo.files().values())
    loaded = Tokenizer.from_pretrained("me/shoes", token=TOKEN)
    assert all(
        map(torch.equal, loaded.state_dict().values(), tiny_tokenizer().state_dict().values())
    )
    cached = [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert "report.json" not in cached and "config.json" in cached


def test_revisions(hub: Hub, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert main(["push", str(model), "me/model"]) == 0
    other = tiny_tokenizer(seed=1)
    other.save_pretrained(model)
    assert main(["push", str(model), "me/model", "--revision", "v2"]) == 0
    assert hub.commits == ["me/model@main", "me/model@v2"]

    def weight(name: str, **kwargs: str) -> torch.Tensor:
        return Tokenizer.from_pretrained(name, **kwargs).last_layer

    first, second = tiny_tokenizer().last_layer, other.last_layer
    assert torch.equal(weight("me/model"), first)
    commit = hub.repositories["me/model"].branches["v2"]
    for name in ("me/model@v2", f"me/model@{commit}"):
        assert torch.equal(weight(name), second)
    assert torch.equal(weight("me/model", revision="v2"), second)
    with pytest.raises(ValueError, match=r"^me/model: has no revision 'v3'"):
        weight("me/model@v3")
    with pytest.raises(ValueError, match="another revision than revision=v2"):
        weight("me/model@main", revision="v2")
    with pytest.raises(ValueError, match="a folder, which has no revision 'v2'"):
        weight(str(model), revision="v2")
    with pytest.raises(ValueError, match="no revision after '@'"):
        weight("me/model@")


def test_offline(hub: Hub, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_tokenizer().push_to_hub("me/model", token=TOKEN)
    Tokenizer.from_pretrained("me/model")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    Tokenizer.from_pretrained("me/model")
    with pytest.raises(ValueError, match=r"^me/other: HF_HUB_OFFLINE is set and no whole copy"):
        Tokenizer.from_pretrained("me/other")
    with pytest.raises(ValueError, match=r"on this machine at revision 'v2': fetch it once"):
        Tokenizer.from_pretrained("me/model@v2")
    with pytest.raises(ValueError, match=r"^me/model: HF_HUB_OFFLINE is set: unset it to upload$"):
        tiny_tokenizer().push_to_hub("me/model", token=TOKEN)


def one_line(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert TOKEN not in line
    return line


def test_refusals(
    hub: Hub, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push = ["push", str(model), "me/model"]
    assert "it needs a token (HF_TOKEN in the environment" in one_line(capsys, push)
    assert "token: empty, or holds spaces" in one_line(capsys, [*push, "--token", f"{TOKEN}\n"])
    hub.repositories["me/model"] = Repository()
    private = [*push, "--private", "--token", TOKEN]
    assert "me/model: exists and is public" in one_line(capsys, private)
    assert hub.commits == []

    assert "no such folder" in one_line(capsys, ["push", str(tmp_path / "none"), "me/model"])
    assert f"name {model}" in one_line(capsys, ["push", str(tmp_path), "me/model"])
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "not a folder that textok wrote" in one_line(capsys, ["push", str(empty), "me/model"])
    assert "report.json: no such file" in one_line(capsys, [*push, "--reports", str(empty)])
    for repo in ("model", "me/model/x", "me/model@v2"):
        assert "make it user/name" in one_line(capsys, ["push", str(model), repo])
    (model / "README.md").write_text("---\na: [\n---\n")
    assert "README.md: its header is not YAML" in one_line(capsys, push)
    (model / "model.safetensors").unlink()
    assert "has no model.safetensors" in one_line(capsys, push)


def test_a_private_repository_needs_a_token(hub: Hub) -> None:
    tiny_tokenizer().push_to_hub("me/model", private=True, token=TOKEN)
    with pytest.raises(ValueError, match=r"^me/model: the hub refuses .*it needs a token"):
        Tokenizer.from_pretrained("me/model")
    with pytest.raises(ValueError, match=r"^me/none: "):
        Tokenizer.from_pretrained("me/none", token=TOKEN)
    Tokenizer.from_pretrained("me/model", token=TOKEN)
