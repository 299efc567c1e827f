"""Shell completion: each shell is asked for what follows a line, as its TAB would ask."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from textok.cli.main import COMMANDS, main
from textok.config.presets import preset_names

BASH = """
source {script}
COMP_WORDS=({words}) COMP_CWORD={place}
_textok
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = """
source {script}
complete -C {line}
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script of each shell."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        words = [sys.executable, "-m", "textok.cli", "completion", shell]
        run = subprocess.run(words, capture_output=True, text=True, check=True)
        assert run.stderr == ""
        (folder / shell).write_text(run.stdout)
    return folder


def follows(line: str, shell: str, scripts: Path, folder: Path) -> list[str]:
    """What ``shell`` offers for the last word of ``line``, in a folder of the user's."""
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    words = line.split(" ")
    code = {
        "bash": BASH.format(script=scripts / "bash", words=shlex.join(words), place=len(words) - 1),
        "fish": FISH.format(script=scripts / "fish", line=shlex.quote(line)),
    }[shell]
    environment = {**os.environ, "HOME": str(folder)}
    run = subprocess.run(
        [shell, "-c", code], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert (run.returncode, run.stderr) == (0, "")
    return [found.partition("\t")[0] for found in run.stdout.split("\n")[:-1] if found]


CASES = {
    "textok tra": ["train"],
    "textok train ": ["generator", "maskgit", "tokenizer", "vqgan"],
    "textok train tokenizer tiny": ["tiny-64"],
    "textok train vqgan ": ["vqgan-64", "vqgan-maskgit"],
    "textok train tokenizer tiny-64 no-": ["no-text"],
    "textok train tokenizer tiny-64 --tokenizer.num": ["--tokenizer.num_tokens"],
    "textok train tokenizer tiny-64 --optim.name ": ["adamw", "muon"],
    "textok reconstruct --cap": ["--caption", "--caption-guidance"],
    "textok generate --sampler eul": ["euler"],
    "textok extract --fl": ["--flip"],
    "textok extract --no-fl": ["--no-flip"],
    "textok evaluate compare --o": ["--out"],
    "textok captions ": ["by-class", "report"],
    "textok completion z": ["zsh"],
}


@pytest.mark.parametrize("shell", ["bash", "fish"])
@pytest.mark.parametrize("line", CASES)
def test_the_last_word_is_completed(line: str, shell: str, scripts: Path, tmp_path: Path) -> None:
    assert sorted(follows(line, shell, scripts, tmp_path)) == CASES[line]


def test_files_are_offered_where_nothing_is_known(scripts: Path, tmp_path: Path) -> None:
    for line in ("textok extract ", "textok generate --out ", "textok fly "):
        assert follows(line, "bash", scripts, tmp_path) == []
    assert "complete -o default -F _textok textok" in (scripts / "bash").read_text()


def test_the_first_word_can_be_every_command(scripts: Path, tmp_path: Path) -> None:
    first = {name.split()[0] for name in COMMANDS}
    assert set(follows("textok ", "bash", scripts, tmp_path)) == first


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")
def test_zsh_takes_its_script(scripts: Path, tmp_path: Path) -> None:
    """The same function as bash's; zsh emulates bash's completion."""
    script = (scripts / "zsh").read_text()
    assert script.endswith((scripts / "bash").read_text())
    code = f"source {scripts / 'zsh'}; print $_comps[textok]"
    run = subprocess.run(["zsh", "-f", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (run.stdout.strip(), run.stderr) == ("_bash_complete -o default -F _textok", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_correct_shell(shell: str, scripts: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    run = subprocess.run([shell, "-n", str(scripts / shell)], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_every_preset_has_its_training(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["completion", "fish"]) == 0
    lines = capsys.readouterr().out.splitlines()
    offered = [line for line in lines if "in textok train " in line and "' -a '" in line]
    names = [name for line in offered for name in line.split("' -a '")[1].strip("'").split()]
    assert sorted(names) == preset_names()
