"""Find the command, run it, and turn users' mistakes into one line."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from itertools import takewhile

from textok import __version__
from textok.cli import commands
from textok.cli.caption import caption, captions_by_class, captions_report
from textok.cli.completion import completion
from textok.cli.convert import convert_1d_tokenizer, convert_lpips
from textok.cli.data import data_imagenet, data_prepare, data_tiny_imagenet
from textok.cli.demo import demo
from textok.cli.doctor import doctor
from textok.cli.evaluate_generation import evaluate_generation
from textok.cli.generate import generate
from textok.cli.options import read_words
from textok.cli.reconstruct import reconstruct
from textok.cli.train import train_generator, train_maskgit, train_tokenizer, train_vqgan

COMMANDS: dict[str, Callable[..., None]] = {
    "generate": generate,
    "reconstruct": reconstruct,
    "demo": demo,
    "train tokenizer": train_tokenizer,
    "train vqgan": train_vqgan,
    "train generator": train_generator,
    "train maskgit": train_maskgit,
    "extract": commands.extract,
    "evaluate reconstruction": commands.evaluate_reconstruction,
    "evaluate generation": evaluate_generation,
    "evaluate compare": commands.evaluate_compare,
    "caption": caption,
    "captions by-class": captions_by_class,
    "captions report": captions_report,
    "convert 1d-tokenizer": convert_1d_tokenizer,
    "convert lpips": convert_lpips,
    "data pictograms": commands.data_pictograms,
    "data prepare": data_prepare,
    "data imagenet": data_imagenet,
    "data tiny-imagenet": data_tiny_imagenet,
    "presets": commands.presets,
    "doctor": doctor,
    "completion": completion,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 done, 2 a user's mistake in one line on stderr, 130 interrupted.

    141 where nobody reads the output any more. TEXTOK_TRACEBACK=1 in the environment shows where
    a line on stderr comes from.
    """
    try:
        code = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever reads, as in `| head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError) as error:
        if os.environ.get("TEXTOK_TRACEBACK"):
            raise
        print(f"textok: error: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("textok: interrupted", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    for name, command in COMMANDS.items():
        words = name.split()
        if arguments[: len(words)] == words:
            rest = arguments[len(words) :]
            if name.startswith("train "):
                command(rest)
            else:
                read_words(command, rest, prog=f"textok {name}")()
            return 0
    if arguments == ["--version"]:
        print(f"textok {__version__}")
        return 0
    return _overview(arguments)


def _overview(arguments: Sequence[str]) -> int:
    """List all commands, or those of the group that the words begin; 0 where that was asked for."""
    group = " ".join(takewhile(lambda word: not word.startswith("-"), arguments))
    names = [name for name in COMMANDS if f"{name} ".startswith(f"{group} ".lstrip())]
    if not names:
        raise ValueError(_no_command(group.split()))
    width = max(map(len, names))
    lines = [f"  textok {name:<{width}}  {_summary(COMMANDS[name])}" for name in names]
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


def _summary(command: Callable[..., None]) -> str:
    return (inspect.getdoc(command) or "").partition("\n")[0]


def _one_line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
