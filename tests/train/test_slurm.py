"""The batch scripts, run with programs that stand in for those of a cluster."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from textok.cli.train import training_config
from textok.config import TrainGeneratorConfig, TrainTokenizerConfig

SLURM = Path(__file__).parents[2] / "examples" / "slurm"
STAND_INS = {
    # Says what it was asked for; a training says it to a file and ends as CODE says.
    "scontrol": 'if [ "$1" = show ]; then echo node1; echo node2; else echo "$@" >> $OUT/asked; fi',
    "srun": 'while [ "$1" != bash ]; do shift; done; SLURM_PROCID=9 SLURM_LOCALID=1 "$@"',
    "python": 'printf "%s\\n" "$RANK $LOCAL_RANK $WORLD_SIZE $MASTER_ADDR" "$@" > $OUT/words; '
    "exit $CODE",
    "torchrun": 'printf "%s\\n" "$@" > $OUT/words; '
    '[ -z "$TELL" ] || { kill -TERM $PPID; sleep 30 & trap "kill $!; exit 1" TERM; wait; }; '
    "exit $CODE",
}


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    for name, lines in STAND_INS.items():
        path = tmp_path / name
        path.write_text(f"#!/bin/bash\n{lines}\n")
        path.chmod(0o755)
    return tmp_path


def submit(cluster: Path, script: str, *, code: int = 0, tell: str = "") -> int:
    environment = {
        **os.environ,
        "PATH": f"{cluster}:{os.environ['PATH']}",
        "OUT": str(cluster),
        "CODE": str(code),
        "TELL": tell,
        "SCRATCH": "/scratch",
        "SLURM_JOB_ID": "12345",
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_NTASKS": "16",
    }
    return subprocess.run(
        ["bash", str(SLURM / f"{script}.sbatch")], env=environment, timeout=60, check=False
    ).returncode


def words(cluster: Path) -> list[str]:
    return (cluster / "words").read_text().splitlines()


def asked(cluster: Path) -> str:
    path = cluster / "asked"
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize("script", sorted(path.stem for path in SLURM.glob("*.sbatch")))
def test_each_script_is_bash_and_asks_for_a_signal(script: str) -> None:
    path = SLURM / f"{script}.sbatch"
    subprocess.run(["bash", "-n", str(path)], check=True)
    options = re.findall(r"^#SBATCH (\S+)$", path.read_text(), re.MULTILINE)
    assert any(re.fullmatch(r"--signal=(B:)?TERM@600", option) for option in options)
    assert "--requeue" in options


def test_one_node_starts_a_training_that_can_be(cluster: Path) -> None:
    assert submit(cluster, "one-node") == 0
    given = words(cluster)
    assert given[: given.index("-m")] == [
        "--standalone",
        "--nproc-per-node=gpu",
        "--max-restarts=3",
    ]
    assert given[given.index("-m") :][:4] == ["-m", "textok.cli", "train", "tokenizer"]
    settings = training_config(TrainTokenizerConfig, given[given.index("-m") + 4 :])
    assert settings.run.out == "/scratch/runs/textok-256"
    assert asked(cluster) == ""


def test_one_node_hands_the_signal_on_and_queues_again(cluster: Path) -> None:
    assert submit(cluster, "one-node", tell="yes") == 128 + signal.SIGTERM
    assert asked(cluster) == "requeue 12345\n"


def test_many_nodes_start_a_training_that_can_be(cluster: Path) -> None:
    assert submit(cluster, "many-nodes") == 0
    place, *given = words(cluster)
    assert place == "9 1 16 node1"
    assert given[:4] == ["-m", "textok.cli", "train", "generator"]
    settings = training_config(TrainGeneratorConfig, given[4:])
    assert settings.run.shard
    assert settings.text.shard
    assert settings.run.batch_size % 16 == 0


@pytest.mark.parametrize(("code", "again"), [(143, "requeue 12345\n"), (2, ""), (0, "")])
def test_many_nodes_queue_again_after_143_alone(cluster: Path, code: int, again: str) -> None:
    assert submit(cluster, "many-nodes", code=code) == code
    assert asked(cluster) == again
