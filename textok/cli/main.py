"""Find the command, run it, and turn users' mistakes into one line."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass
from difflib import get_close_matches
from io import TextIOWrapper
from itertools import takewhile
from typing import Any

from textok import __version__, config
from textok.cli import caption, commands, data, doctor, train
from textok.cli.commands import NoSettings
from textok.cli.completion import CompletionConfig, completion
from textok.cli.help import help_text
from textok.cli.messages import messages_on_stderr
from textok.cli.mistakes import told_of_mistake
from textok.cli.options import Names
from textok.cli.words import from_files, read_words, split_words
from textok.config import (
    captioning,
    convert,
    datasets,
    demo,
    evaluation,
    export,
    extraction,
    generation,
    push,
)
from textok.config.presets import preset_path
from textok.config.read import build


@dataclass(frozen=True)
class Command:
    """What can be typed after `textok`, and what it does."""

    settings: type[Any]
    run: Callable[[Any], None]
    """Its docstring is the command's help, with an example."""

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.run) or "").partition("\n")[0]


COMMANDS: dict[str, Command] = {
    "generate": Command(generation.GenerateConfig, commands.generate),
    "reconstruct": Command(generation.ReconstructConfig, commands.reconstruct),
    "demo": Command(demo.DemoConfig, commands.demo),
    "train tokenizer": Command(config.TrainTokenizerConfig, train.train_tokenizer),
    "train vqgan": Command(config.TrainVQGANConfig, train.train_vqgan),
    "train generator": Command(config.TrainGeneratorConfig, train.train_generator),
    "train maskgit": Command(config.TrainMaskGITConfig, train.train_maskgit),
    "extract": Command(extraction.ExtractConfig, commands.extract),
    "evaluate reconstruction": Command(
        evaluation.EvaluateReconstructionConfig, commands.evaluate_reconstruction
    ),
    "evaluate generation": Command(
        evaluation.EvaluateGenerationConfig, commands.evaluate_generation
    ),
    "evaluate compare": Command(evaluation.CompareConfig, commands.evaluate_compare),
    "caption": Command(captioning.CaptionImagesConfig, caption.caption),
    "captions by-class": Command(captioning.CaptionsByClassConfig, caption.captions_by_class),
    "captions report": Command(captioning.CaptionsReportConfig, caption.captions_report),
    "convert 1d-tokenizer": Command(convert.ConvertTokenizerConfig, commands.convert_1d_tokenizer),
    "convert lpips": Command(convert.ConvertLPIPSConfig, commands.convert_lpips),
    "export onnx": Command(export.ExportONNXConfig, commands.export_onnx),
    "export web": Command(export.ExportWebConfig, commands.export_web),
    "export diffusers": Command(export.ExportDiffusersConfig, commands.export_diffusers),
    "data pictograms": Command(datasets.PictogramsConfig, data.data_pictograms),
    "data check": Command(datasets.CheckConfig, data.data_check),
    "data export": Command(datasets.ExportConfig, data.data_export),
    "data prepare": Command(datasets.PrepareConfig, data.data_prepare),
    "data imagenet": Command(datasets.ImageNetConfig, data.data_imagenet),
    "data tiny-imagenet": Command(datasets.TinyImageNetConfig, data.data_tiny_imagenet),
    "push": Command(push.PushConfig, commands.push),
    "presets": Command(NoSettings, commands.presets),
    "doctor": Command(NoSettings, doctor.doctor),
    "completion": Command(CompletionConfig, completion),
}


def main(arguments: Sequence[str] | None = None, *, interrupted: Callable[[], bool] = bool) -> int:
    """Run one command; 0 done, 2 a user's mistake in one line on stderr, 130 interrupted.

    141 where nobody reads the output any more. TEXTOK_TRACEBACK=1 in the environment shows where
    a line on stderr comes from. ``interrupted`` tells whether Ctrl-C came, which libraries and
    loader processes report as errors of their own. Other errors, textok's own, are raised.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may not be UTF-8
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever reads, as in `| head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        if interrupted():
            return _interrupted()
        told = told_of_mistake(error)
        if told is None or os.environ.get("TEXTOK_TRACEBACK"):
            raise
        print(f"textok: error: {told}", file=sys.stderr)
        return 2


def _interrupted() -> int:
    print("textok: interrupted", file=sys.stderr)
    return 130


def command_of(words: Sequence[str]) -> tuple[str, Command, list[str]] | None:
    """The command that the words begin with, its name, and the words after it."""
    for name, command in COMMANDS.items():
        size = len(name.split())
        if list(words[:size]) == name.split():
            return name, command, list(words[size:])
    return None


def settings_of(name: str, words: Sequence[str]) -> Any:
    """The settings of the command ``name`` that its words ask for."""
    settings, prog = COMMANDS[name].settings, f"textok {name}"
    if name.startswith("train "):
        return train.training_config(settings, words, prog=prog)
    return read_words(settings, words, prog=prog)


def _run(arguments: list[str]) -> int:
    found = command_of(arguments)
    if found is not None:
        name, command, words = found
        if {"-h", "--help"} & set(takewhile(lambda word: word != "--", words)):
            print(_help(name, words))
        else:
            with messages_on_stderr():
                command.run(settings_of(name, words))
        return 0
    if arguments == ["--version"]:
        print(f"textok {__version__}")
        return 0
    return _overview(arguments)


def _help(name: str, words: Sequence[str]) -> str:
    """The page of a command; of a training with the values of the presets that are named."""
    command, prog = COMMANDS[name], f"textok {name}"
    about = inspect.getdoc(command.run) or ""
    if not name.startswith("train "):
        return help_text(command.settings, about, prog=prog)
    rest = [word for word in words if word not in ("-h", "--help")]
    split = split_words(Names(command.settings), rest, prog=prog)
    files = [*map(preset_path, split.loose), *split.files]
    base = build(command.settings, from_files(command.settings, files)) if files else MISSING
    about = f"{about}\n\n{train.ABOUT}"
    return help_text(command.settings, about, prog=prog, words="PRESET...", base=base)


def _overview(arguments: Sequence[str]) -> int:
    """List all commands, or those of the group that the words begin; 0 where that was asked for."""
    group = " ".join(takewhile(lambda word: not word.startswith("-"), arguments))
    names = [name for name in COMMANDS if f"{name} ".startswith(f"{group} ".lstrip())]
    if not names:
        raise ValueError(_no_command(group.split()))
    width = max(map(len, names))
    lines = [f"  textok {name:<{width}}  {COMMANDS[name].summary}" for name in names]
    head = "textok: images to a handful of tokens and back, with the help of a caption."
    tail = "`textok COMMAND --help` shows a command's options and an example; `textok --version`."
    print("\n".join([head, "", *lines, "", tail]))
    return 0 if not arguments or {"-h", "--help"} & set(arguments) else 2


def _no_command(words: Sequence[str]) -> str:
    """That there is none of these words, and the nearest that there is."""
    groups = {name.split()[0] for name in COMMANDS if " " in name}
    called = " ".join(words[:2] if words[0] in groups else words[:1])
    near = get_close_matches(" ".join(words[:2]), COMMANDS, n=1)
    near = near or get_close_matches(words[0], [*COMMANDS, *groups], n=1)
    hint = f"did you mean `textok {near[0]}`?" if near else "`textok --help` lists them"
    return f"no command is called '{called}': {hint}"
