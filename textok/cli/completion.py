"""``textok completion``: a script from which a shell knows the commands, options and presets."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, Literal, get_type_hints

from tyro.conf import Positional

from textok import config
from textok.cli.options import Options, choices_of, options_of, options_of_settings
from textok.config.presets import preset_names, preset_path
from textok.config.read import load_config

SETTINGS: dict[str, type[Any]] = {
    "train tokenizer": config.TrainTokenizerConfig,
    "train vqgan": config.TrainVQGANConfig,
    "train generator": config.TrainGeneratorConfig,
    "train maskgit": config.TrainMaskGITConfig,
}


def completion(shell: Positional[Literal["bash", "zsh", "fish"]]) -> None:
    """Print the script by which a shell completes textok's words.

    Example: textok completion bash

    It knows the commands, options and presets of this version and runs nothing while you type.

    - bash: add `source <(textok completion bash)` to ~/.bashrc
    - zsh: add `source <(textok completion zsh)` to ~/.zshrc
    - fish: write it to ~/.config/fish/completions/textok.fish

    Args:
        shell: Whose script.
    """
    from textok.cli.main import COMMANDS

    known = [_known(name, command) for name, command in COMMANDS.items()]
    print(_fish(known) if shell == "fish" else _bash(known, zsh=shell == "zsh"))


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What can be typed after a command."""

    name: str
    summary: str
    options: Options
    words: tuple[str, ...]
    """Instead of an option: presets, or the choices of a positional argument."""


def _known(name: str, command: Callable[..., None]) -> _Known:
    summary = (inspect.getdoc(command) or "").partition("\n")[0]
    if name in SETTINGS:
        options = options_of_settings(SETTINGS[name])
        words = tuple(preset for preset in preset_names() if _is_for(preset, name))
    else:
        options, hints = options_of(command), get_type_hints(command)
        given = inspect.signature(command).parameters.values()
        places = [hints[one.name] for one in given if one.kind is not one.KEYWORD_ONLY]
        words = tuple(word for place in places for word in choices_of(place))
    return _Known(name=name, summary=summary, options=options, words=words)


def _is_for(preset: str, command: str) -> bool:
    """Whether a preset is one of ``command``: a partial one can fit several, and shows its own."""
    path = preset_path(preset)
    if f"textok {command} " not in path.read_text(encoding="utf-8"):
        return False
    try:
        load_config(SETTINGS[command], [path])
    except ValueError:
        return False
    return True


ZSH = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
autoload -Uz bashcompinit && bashcompinit"""


def _bash(known: Sequence[_Known], *, zsh: bool) -> str:
    """One function over a table of cases; zsh runs it by its emulation of bash's completion."""
    groups = _groups(known)
    lines = [
        *([ZSH] if zsh else []),
        "_textok() {",
        "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}",
        "  local command=${COMP_WORDS[1]} options= words=",
        f'  case $command in {"|".join(groups)}) command="$command ${{COMP_WORDS[2]}}" ;; esac',
        "  case $command in",
        *(f"    '{one.name}') options='{' '.join(one.options)}' ;;" for one in known),
        "  esac",
        "  case $COMP_CWORD,$command,$before in",
        f"    1,*) words='{' '.join(dict.fromkeys(one.name.split()[0] for one in known))}' ;;",
        *(f"    2,'{group} '*) words='{' '.join(names)}' ;;" for group, names in groups.items()),
    ]
    for one in known:
        for option, choices in one.options.items():
            if choices:
                lines.append(f"    *,'{one.name},{option}') words='{' '.join(choices)}' ;;")
        if one.words:
            lines.append(f"    *,'{one.name},'[!-]*) words='{' '.join(one.words)}' ;;")
    lines += [
        "  esac",
        "  case $word in -*) words=$options ;; esac",
        '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
        "}",
        "complete -o default -F _textok textok",
    ]
    return "\n".join(lines)


FISH = """\
function __textok_is
    test "$argv" = (commandline -opc | string join ' ')
end
function __textok_in
    string match -q -- "$argv *" (commandline -opc | string join ' ')' '
end"""


def _fish(known: Sequence[_Known]) -> str:
    """A line for each command and option, with the words before it that call for it."""
    complete = "complete -c textok -n"
    lines = [FISH]
    lines += [f"{complete} '__textok_is textok' -f -a {group}" for group in _groups(known)]
    for one in known:
        *group, name = one.name.split()
        before = " ".join(["textok", *group])
        lines.append(f"{complete} '__textok_is {before}' -f -a {name} -d {quote(one.summary)}")
        here = f"{complete} '__textok_in textok {one.name}'"
        if one.words:
            lines.append(f"{here} -a '{' '.join(one.words)}'")
        for option, choices in one.options.items():
            takes = f"-x -a '{' '.join(choices)}'" if choices else "-r"
            lines.append(f"{here} -l {option[2:]} {'' if choices is None else takes}".rstrip())
    return "\n".join(lines)


def _groups(known: Sequence[_Known]) -> dict[str, list[str]]:
    """The second words of commands of two, by their first."""
    found: dict[str, list[str]] = {}
    for group, *names in (one.name.split() for one in known):
        if names:
            found.setdefault(group, []).extend(names)
    return found
