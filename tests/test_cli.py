"""The command line: what is run, what is said, and with which exit code it ends."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import textok.evaluate
import textok.train
from textok import __version__
from textok.cli import main as cli
from textok.cli.help import docs_of
from textok.cli.main import settings_of
from textok.cli.options import Names
from textok.cli.train import training_config
from textok.cli.words import split_words
from textok.config import DataConfig, TrainTokenizerConfig, ViTConfig
from textok.config.evaluation import EvaluateReconstructionConfig, HeldOutDataConfig
from textok.config.presets import preset_names

COMMANDS = list(cli.COMMANDS)


def test_help_does_not_wait_for_torch() -> None:
    asked = [["--help"], ["train", "tokenizer", "tiny-64", "--help"]]
    asked += [[*name.split(), "--help"] for name in COMMANDS]
    code = f"""
import sys
from textok.cli.main import main
for words in {asked}:
    try:
        assert main(words) == 0
    except SystemExit as end:
        assert end.code == 0
assert not {{"torch", "transformers", "numpy", "datasets", "pyarrow"}} & set(sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    for name in COMMANDS:
        assert f"usage: textok {name} " in run.stdout


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    for name, command in cli.COMMANDS.items():
        assert f"textok {name} " in shown
        assert f"Example: textok {name}" in (inspect.getdoc(command.run) or "")


def test_a_group_lists_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate"]) == 2
    assert cli.main(["evaluate", "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("textok evaluate reconstruction") == 2
    assert shown.count("textok evaluate compare") == 2
    assert "textok presets" not in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"textok {__version__}\n"


def test_presets_are_listed_with_their_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == preset_names()
    (baseline,) = (line for line in lines if line.startswith("no-text "))
    assert baseline.endswith("the paper's baseline, the same tokenizer without captions.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("fly", "no command is called 'fly': `textok --help` lists them"),
        ("generat cat", "no command is called 'generat': did you mean `textok generate`?"),
        ("evaluate recon a b", "no command is called 'evaluate recon': did you mean `textok eval"),
        ("trian tokenizer x", "no command is called 'trian': did you mean `textok train token"),
        ("generate a --step 3", "textok generate has no option '--step': did you mean '--steps'?"),
        ("presets --fly", "textok presets has no option '--fly': `textok presets --help` lists"),
        ("generate --num_images=0.5", "num_images: '0.5' is not a whole number"),
        ("generate a --guidance x", "sampling.guidance: 'x' is not a number"),
        ("generate a --steps", "--steps: a value is missing after it ("),
        ("extract a", "Missing from textok extract: DATA OUT (`textok extract --help`)"),
        ("data pictograms a b", "Unrecognized options: b (`textok data pictograms --help`)"),
        ("data pictograms a --size 65", "size: '65' is not one of 64, 128, 256"),
        ("generate a --sampler=x", "sampling.sampler: 'x' is not one of euler, heun, ddim"),
        ("generate a --seed None", "seed: 'None' is not a whole number"),
        ("train tokenizer", "name a preset or a .yaml file first: `textok presets` lists them"),
        ("train tokenizer tiny-63", "no preset is called 'tiny-63': did you mean 'tiny-64'?"),
        ("train tokenizer nowhere.yaml", "nowhere.yaml: No such file or directory"),
        (
            "train tokenizer tiny-64 --optim.lrr 3",
            "textok train tokenizer has no option '--optim.lrr': did you mean '--optim.lr'?",
        ),
        ("train tokenizer tiny-64 --optim.lr fast", "optim.lr: 'fast' is not a number"),
        ("train tokenizer tiny-64 --optim.lr=-1", "optim.lr is -1.0: it must be > 0"),
        ("train tokenizer tiny-64 --optim 3", "optim: '3' is not a mapping of settings"),
        ("train tokenizer tiny-64 -x", "'-x' is not a flag: write --name value"),
        (
            "train tokenizer tiny-64 --tokenizer.image_size 63",
            "tokenizer.image_size 63 is not a multiple of tokenizer.patch_size 8",
        ),
        ("data pictograms out --workers 0", "workers is 0: it must be >= 1 and <= 1024"),
        ("evaluate compare nowhere.json --out x", "nowhere.json: No such file or directory"),
        (
            "train tokenizer tiny-64 --encoder x",
            "textok train tokenizer: '--encoder' can be --text.encoder or --tokenizer.encoder: ",
        ),
        ("extract a b c --data.flip", "textok extract has no option '--data.flip': did you mean"),
        ("extract a b c --flip maybe", "Unrecognized options: maybe (`textok extract --help`)"),
        ("extract a b c --config none.yaml", "none.yaml: No such file or directory"),
        ("caption a b", "Missing from textok caption: --model (`textok caption --help`)"),
        ("reconstruct no.png --device warp", "--device warp: not to be had here"),
        ("data check ~no-user/a", "a path begins with ~ and the name of no user"),
        ("export diffusers products .", ".: is replaced whole, and you are in it: name it from"),
        (
            "convert 1d-tokenizer no.bin .",
            "{here}: is replaced whole, and you are in it: name it from outside",
        ),
        ("demo --model=", "the name of a model is empty: give a folder or a hub name"),
    ],
)
def test_mistakes_are_one_line(
    words: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(words.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"textok: error: {message.format(here=tmp_path)}")
    assert shown.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_tokens_of_somebody_else_are_not_replaced(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    mine = tmp_path / "tokens.safetensors"
    mine.write_text("years of work")
    assert cli.main(["reconstruct", "no.png", "--out", str(tmp_path), "--tokens"]) == 2
    assert f"{mine} is there already and was not written by textok" in capsys.readouterr().err
    assert mine.read_text() == "years of work" and list(tmp_path.iterdir()) == [mine]


def test_interruptions_bugs_and_mistakes_end_differently(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail_with(error: BaseException) -> None:
        def run(settings: object) -> None:
            raise error

        command = replace(cli.COMMANDS["presets"], run=run)
        monkeypatch.setitem(cli.COMMANDS, "presets", command)

    fail_with(KeyboardInterrupt())
    assert cli.main(["presets"]) == 130
    fail_with(ValueError("two\n  lines"))
    assert cli.main(["presets"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "textok: error: two lines"
    fail_with(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        cli.main(["presets"])
    monkeypatch.setenv("TEXTOK_TRACEBACK", "1")
    fail_with(ValueError("where?"))
    with pytest.raises(ValueError, match=r"^where\?$"):
        cli.main(["presets"])


def test_flags_are_read_like_yaml() -> None:
    words = (
        "a --optim.lr 2e-4 b.yaml --optim.betas .9 .95 --tokenizer.nested c --data.path=a=b"
        " --run.log-every 5 --tokenizer.initial_logvar -5 --text.encoder no-such-model"
        " --run.compile false --config d.yaml e.yaml --no-data.flip -- --x"
    )
    split = split_words(Names(TrainTokenizerConfig), words.split(), prog="textok")
    assert split.flags == {
        "optim": {"lr": "2e-4", "betas": [".9", ".95"]},
        "tokenizer": {"nested": "true", "initial_logvar": "-5"},
        "data": {"path": "a=b", "flip": "false"},
        "run": {"log_every": "5", "compile": "false"},
        "text": {"encoder": "no-such-model"},
    }
    assert split.loose == ["a", "b.yaml", "c", "--x"]
    assert split.files == [Path("d.yaml"), Path("e.yaml")]


def test_presets_then_flags_make_the_config(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("tokenizer: {channels: 4, num_tokens: 9}\noptim: {lr: 1}")
    flags = "--optim.lr 2e-4 --tokenizer.encoder S --optim.betas 0.5 0.6".split()
    config = training_config(TrainTokenizerConfig, ["tiny-64", "k32", str(mine), *flags])
    assert (config.tokenizer.channels, config.tokenizer.num_tokens) == (4, 9)
    assert config.tokenizer.encoder == ViTConfig.named("S")
    assert (config.optim.lr, config.optim.betas) == (2e-4, (0.5, 0.6))
    assert config.optim.final_lr_share == 0
    assert config.run.out == "runs/tiny-64-k32-mine"
    assert (
        training_config(TrainTokenizerConfig, ["--run.out", "there", "tiny-64"]).run.out == "there"
    )


def test_training_gets_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[TrainTokenizerConfig] = []
    monkeypatch.setattr(textok.train, "train_tokenizer", trained.append)
    assert cli.main("train tokenizer tiny-64 no-text --data.path here".split()) == 0
    assert trained == [
        training_config(TrainTokenizerConfig, ["tiny-64", "no-text", "--data.path", "here"])
    ]


def test_training_without_its_packages_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tensorboard" else find(name)
    )
    assert cli.main("train tokenizer tiny-64 --data.path here".split()) == 2
    message = "textok: error: training needs tensorboard: pip install 'textok[train]'\n"
    assert capsys.readouterr().err == message


def evaluation(words: str) -> EvaluateReconstructionConfig:
    config = settings_of("evaluate reconstruction", words.split())
    assert isinstance(config, EvaluateReconstructionConfig)
    return config


def test_dots_dashes_and_underscores_are_the_same_and_the_last_part_suffices() -> None:
    found = [
        evaluation(f"m images --out o --{cache} c --{where} a=b --{steps} 4 --{share} 0.5")
        for cache, where, steps, share in (
            ("text.cache", "data.where", "decoding.steps", "data.max_bad_share"),
            ("text-cache", "data-where", "decoding-steps", "data.max-bad-share"),
            ("text_cache", "where", "decoding_steps", "max-bad-share"),
            ("cache", "data_where", "steps", "max_bad_share"),
        )
    ]
    assert found == [found[0]] * 4
    first = found[0]
    assert (first.text.cache, first.data.where, first.decoding.steps) == ("c", "a=b", 4)
    assert first.data.max_bad_share == 0.5


def test_positional_words_stand_anywhere() -> None:
    expected = evaluation("m images --pca --out o --num-tokens 1 2")
    assert evaluation("--out=o m --pca images --num-tokens 1 2") == expected
    assert evaluation("--num-tokens 1 2 --no-pca --pca true --out o m images") == expected
    assert evaluation("--data.path images m --out o --pca --num-tokens 1 2") == expected
    assert (expected.model, expected.data.path, expected.out) == ("m", "images", Path("o"))


def test_files_of_settings_come_before_words_and_flags(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("model: m\nout: o\ndata: {path: images, split: val}\nlimit: 3\npca: on")
    second.write_text("data: {split: test_seen}\nbatch_size: 2\nlimit: 4")
    config = evaluation(f"--limit 5 --config {first} {second}")
    assert config == evaluation("m images --out o --split test_seen --limit 5 --batch-size 2 --pca")
    assert evaluation(f"n --config {first}").model == "n"


def test_old_names_of_flags_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    note = "textok: note: --{} is now --{}; the old name goes with textok 0.3\n"
    old = evaluation("m images --out o --captions true absent --caption-files c")
    assert capsys.readouterr().err == (
        note.format("captions", "caption-modes") + note.format("caption-files", "data.captions")
    )
    assert old == evaluation("m images --out o --caption-modes true absent --captions c")
    config = settings_of("evaluate generation", "m images --out o --captions plain".split())
    assert config.caption_mode == "plain"
    assert capsys.readouterr().err == note.format("captions", "caption-mode")
    stage1 = "titok-stage1 titok-b k64 --vqgan there".split()
    assert training_config(TrainTokenizerConfig, stage1).vqgan_path == "there"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_names_its_dials_once(name: str) -> None:
    """Paths of positional words, aliases and what is left out are options that there are."""
    settings = cli.COMMANDS[name].settings
    names = Names(settings)
    for path in (*names.positional, *names.aliases.values()):
        assert path in names.options
    paths = [*names.options, *getattr(settings, "WITHOUT", ())]
    assert len({path.replace(".", "_") for path in paths}) == len(paths)
    for path, option in names.options.items():
        assert docs_of(option.owner).get(path.rpartition(".")[2]), f"{path} has no docstring"


@pytest.mark.parametrize("rank", ["", "0", "1"])
def test_one_of_several_processes_prints_the_evaluation(
    rank: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[DataConfig] = []

    class Table:
        def __init__(self, config: EvaluateReconstructionConfig) -> None:
            asked.append(config.data)

        def to_markdown(self) -> str:
            return "# table\n\n- passed\n\n## Protocol\n\n- long"

    monkeypatch.setattr(textok.evaluate, "evaluate_reconstruction", Table)
    if rank:
        monkeypatch.setenv("RANK", rank)
    words = "evaluate reconstruction m images --out o --max-bad-share 0.5 --where core=true"
    assert cli.main(words.split()) == 0
    shown = "" if rank == "1" else "# table\n\n- passed\n\no/report.md\n"
    assert capsys.readouterr().out == shown
    where = {"split": "test", "where": "core=true", "max_bad_share": 0.5}
    assert asked == [HeldOutDataConfig(path="images", **where)]


def test_a_reader_that_leaves_is_no_mistake() -> None:
    words = [sys.executable, "-m", "textok.cli", "--version"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout and run.stderr
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 141


def test_it_runs_as_a_module() -> None:
    words = [sys.executable, "-m", "textok.cli", "--version"]
    run = subprocess.run(words, capture_output=True, text=True, check=True)
    assert run.stdout == f"textok {__version__}\n"
