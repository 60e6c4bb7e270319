"""`terrazzo completion`: the scripts by which shells complete, and their questions.

Typer brings such scripts too, but they load pydantic and know no keys of a configuration.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer

__all__ = ["answer", "completion"]

_QUESTION = 4


class Shell(StrEnum):
    """Shells that complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


# COMP_LINE is asked with, since bash takes words apart at `=`; what it shall put in is what stands behind that.
_BASH = r"""# Completion of terrazzo for bash. In ~/.bashrc: eval "$(terrazzo completion bash)"
_terrazzo_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" kind text note typed cut="" files=0 parts=0
    typed="${line##*[[:space:]]}"
    if [[ "$typed" == *=* && "$COMP_WORDBREAKS" == *=* ]]; then
        cut="${typed%=*}="
    fi
    COMPREPLY=()
    while IFS=$'\t' read -r kind text note; do
        case "$kind" in
            file) files=1 ;;
            part) parts=1; COMPREPLY+=("${text#"$cut"}") ;;
            word) COMPREPLY+=("${text#"$cut"}") ;;
        esac
    done < <("${COMP_WORDS[0]}" completion bash -- "$line" 2>/dev/null)
    if ((files)); then
        compopt -o filenames 2>/dev/null
        while IFS= read -r text; do
            COMPREPLY+=("$text")
        done < <(compgen -f -- "${typed#"$cut"}")
    fi
    if ((parts)); then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _terrazzo_completion terrazzo
"""
_ZSH = r"""#compdef terrazzo
# Completion of terrazzo for zsh. In ~/.zshrc, after compinit: eval "$(terrazzo completion zsh)"
_terrazzo() {
    local kind text note files=0
    local -a words_found words_shown parts_found parts_shown
    while IFS=$'\t' read -r kind text note; do
        case "$kind" in
            file) files=1 ;;
            part) parts_found+=("$text"); parts_shown+=("$text${note:+  -- $note}") ;;
            word) words_found+=("$text"); words_shown+=("$text${note:+  -- $note}") ;;
        esac
    done < <("${words[1]}" completion zsh -- "${(Q)words[@]:0:$CURRENT}" 2>/dev/null)
    (( ${#words_found} )) && compadd -l -d words_shown -a words_found
    (( ${#parts_found} )) && compadd -l -S '' -d parts_shown -a parts_found
    if (( files )); then
        [[ "$PREFIX" == *=* ]] && compset -P '*='
        _files
    fi
}
if [[ "$funcstack[1]" == "_terrazzo" ]]; then
    _terrazzo "$@"
else
    compdef _terrazzo terrazzo
fi
"""
_FISH = r"""# Completion of terrazzo for fish. In ~/.config/fish/config.fish: terrazzo completion fish | source
function __terrazzo_completion
    set -l before (commandline -opc)
    set -l typed (commandline -ct)
    for line in ($before[1] completion fish -- $before "$typed" 2>/dev/null)
        set -l fields (string split \t -- $line)
        switch $fields[1]
            case file
                __fish_complete_path (string replace -r '^.*=' '' -- "$typed")
            case '*'
                printf '%s\t%s\n' $fields[2] $fields[3]
        end
    end
end
complete -c terrazzo -f -a '(__terrazzo_completion)'
"""
_SCRIPTS = {Shell.BASH: _BASH, Shell.ZSH: _ZSH, Shell.FISH: _FISH}


def completion(shell: Annotated[Shell, typer.Argument(help="The shell.")]) -> None:
    """Print a script by which a shell completes.

    Commands, options, recipes, keys of the configuration with their choices, and files. For bash, put this into
    ~/.bashrc: eval "$(terrazzo completion bash)". For zsh the same, after compinit, into ~/.zshrc. For fish:
    terrazzo completion fish | source.
    """
    from terrazzo.cli import completion_keys

    completion_keys.read()
    typer.echo(_SCRIPTS[shell], nl=False)


def answer(application: typer.Typer, arguments: Sequence[str]) -> bool:
    """Answer a script's question, `completion SHELL -- WORD...`, and return whether it was one.

    Not a command: Typer loads pydantic to convert a command's arguments, and the answer must come at once.
    """
    if len(arguments) < _QUESTION or arguments[0] != "completion" or arguments[2] != "--":
        return False
    from terrazzo.cli.completing import candidates, split_line

    shell, words = arguments[1], arguments[3:]
    for found in candidates(typer.main.get_command(application), split_line(words[0]) if shell == "bash" else words):
        typer.echo("\t".join(found))
    return True
