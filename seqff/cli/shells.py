"""Scripts for shells: commands, their flags, and the values of flags that can be listed; elsewhere file names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seqff.cli.flags import Flag

Commands = Mapping[str, tuple[str, Sequence[str], Sequence[Flag]]]
"""For each command what it does, its actions (such as list, show, check), and its flags."""

BASH = """\
# bash completion of seqff; in ~/.bashrc: eval "$(seqff completion bash)"
_seqff() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{names} --help --version"
    else
        case "${{COMP_WORDS[1]}}" in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _seqff seqff
"""
BASH_CASE = """\
        {name})
            case "$before" in
{choices}            *)
                case "$current" in
                    -*) words="{flags}";;
                    *) [ "$COMP_CWORD" -eq 2 ] && words="{actions}";;
                esac;;
            esac;;"""

ZSH = """\
#compdef seqff
# zsh completion of seqff; in ~/.zshrc, after compinit: eval "$(seqff completion zsh)"
_seqff() {{
    local before="$words[CURRENT-1]"
    if (( CURRENT == 2 )); then
        local -a commands
        commands=(
{names}
        )
        _describe command commands
        return
    fi
    case "$words[2]" in
{cases}
    esac
    _files
}}
if [ "$funcstack[1]" = "_seqff" ]; then _seqff "$@"; else compdef _seqff seqff; fi
"""
ZSH_CASE = """\
        {name})
            case "$before" in
{choices}            esac
            if [[ "$PREFIX" == -* ]]; then compadd -- {flags}; return; fi
            {actions};;"""


def bash(commands: Commands) -> str:
    """Return the script for bash."""
    cases = []
    for name, (_, actions, flags) in commands.items():
        choices = "".join(f'            {f.name}) words="{" ".join(f.choices)}";;\n' for f in flags if f.choices)
        listed = " ".join(flag.name for flag in flags)
        cases.append(BASH_CASE.format(name=name, choices=choices, flags=listed, actions=" ".join(actions)))
    return BASH.format(names=" ".join(commands), cases="\n".join(cases))


def zsh(commands: Commands) -> str:
    """Return the script for zsh."""
    names = "\n".join(f"            {_quoted(f'{name}:{text}')}" for name, (text, _, _) in commands.items())
    cases = []
    for name, (_, actions, flags) in commands.items():
        choices = "".join(
            f"            {f.name}) compadd -- {' '.join(f.choices)}; return;;\n" for f in flags if f.choices
        )
        first = f"if (( CURRENT == 3 )); then compadd -- {' '.join(actions)}; return; fi" if actions else ":"
        listed = " ".join(flag.name for flag in flags)
        cases.append(ZSH_CASE.format(name=name, choices=choices, flags=listed, actions=first))
    return ZSH.format(names=names, cases="\n".join(cases))


def fish(commands: Commands) -> str:
    """Return the script for fish."""
    lines = ["# fish completion of seqff; seqff completion fish > ~/.config/fish/completions/seqff.fish"]
    alone = "-n __fish_use_subcommand"
    lines += [f"complete -c seqff {alone} -l {name} -f" for name in ("help", "version")]
    for name, (text, actions, flags) in commands.items():
        lines.append(f"complete -c seqff {alone} -f -a {name} -d {_quoted(text)}")
        inside = f"-n '__fish_seen_subcommand_from {name}'"
        if actions:
            lines.append(f"complete -c seqff {inside} -f -a {_quoted(' '.join(actions))}")
        for flag in flags:
            values = f" -x -a {_quoted(' '.join(flag.choices))}" if flag.choices else " -r" * flag.takes_value
            lines.append(f"complete -c seqff {inside} -l {flag.name[2:]}{values}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Quote a text for all three shells; an apostrophe, which they quote in different ways, becomes a backtick."""
    return "'" + text.replace("'", "`") + "'"
