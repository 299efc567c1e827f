"""``textok completion``: a script from which a shell knows the commands, options and presets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, ClassVar, Literal

from textok.cli.options import Names
from textok.config.presets import preset_names, preset_path
from textok.config.read import load_config

Options = dict[str, tuple[str, ...] | None]
"""What each option can be followed by: one of some words, any word (), or none (None)."""


@dataclass(frozen=True, kw_only=True)
class CompletionConfig:
    """All of ``textok completion``."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("shell",)

    shell: Literal["bash", "zsh", "fish"]
    """Whose script."""


def completion(config: CompletionConfig) -> None:
    """Print the script by which a shell completes textok's words.

    Example: textok completion bash

    It knows the commands, options and presets of this version and runs nothing while you type.

    - bash: add `source <(textok completion bash)` to ~/.bashrc
    - zsh: add `source <(textok completion zsh)` to ~/.zshrc
    - fish: write it to ~/.config/fish/completions/textok.fish
    """
    from textok.cli.main import COMMANDS

    known = [_known(name, one.settings, one.summary) for name, one in COMMANDS.items()]
    shell = config.shell
    print(_fish(known) if shell == "fish" else _bash(known, zsh=shell == "zsh"))


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What can be typed after a command."""

    name: str
    summary: str
    options: Options
    words: tuple[str, ...]
    """Instead of an option: presets, or the choices of a positional argument."""


def _known(name: str, settings: type[Any], summary: str) -> _Known:
    names = Names(settings)
    words = [word for path in names.positional for word in names.options[path].choices]
    if name.startswith("train "):
        words = [preset for preset in preset_names() if _is_for(preset, name, settings)]
    return _Known(name=name, summary=summary, options=_options(names), words=tuple(words))


def _options(names: Names) -> Options:
    """Every flag by its path, as settings files have it, and by its short name."""
    found: Options = {"--help": None, "--config": ()}
    for path, option in names.options.items():
        short = names.short(path) or ("" if "." in path else path.replace("_", "-"))
        if option.is_switch and short:
            found[f"--no-{short}"] = None
        for name in dict.fromkeys([path if "." in path else short, short]):
            if name:
                found[f"--{name}"] = None if option.is_switch else option.choices
    return found


def _is_for(preset: str, command: str, settings: type[Any]) -> bool:
    """Whether a preset is one of ``command``: a partial one can fit several, and shows its own."""
    path = preset_path(preset)
    if f"textok {command} " not in path.read_text(encoding="utf-8"):
        return False
    try:
        load_config(settings, [path])
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
