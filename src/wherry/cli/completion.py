"""`wherry completion SHELL`: print the completion script of a shell."""

import click

from wherry.cli.grouped import GroupedCommand
from wherry.cli.world import World

_BASH = """\
_wherry_completion() {
    # Split words at white space only: bash itself splits api:dev at the colon, and type=oci at the equals sign.
    local line=${COMP_LINE:0:COMP_POINT} answer type value prefix="" words breaks
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local current=${words[-1]}
    breaks=${COMP_WORDBREAKS//[^=:]/}
    [[ -n $breaks ]] && prefix=${current%"${current##*[$breaks]}"}
    COMPREPLY=()
    answer=$(COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) _WHERRY_COMPLETE=bash_complete "$1")
    while IFS=, read -r type value; do
        case $type in
        file) compopt -o default ;;
        plain)
            COMPREPLY+=("${value#"$prefix"}")
            [[ $value == *= ]] && compopt -o nospace
            ;;
        esac
    done <<< "$answer"
}
complete -o nosort -F _wherry_completion wherry
"""


@click.command("completion", cls=GroupedCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, /, *, shell: str) -> None:
    """Print the script that makes SHELL complete commands, options, images, platforms and services.

    \b
    bash  wherry completion bash > ~/.local/share/bash-completion/completions/wherry
    zsh   wherry completion zsh > "${fpath[1]}/_wherry"
    fish  wherry completion fish > ~/.config/fish/completions/wherry.fish
    """  # noqa: D301 - click's mark for a paragraph that keeps its lines
    world: World = ctx.obj
    world.say(script(ctx.find_root().command, shell))


def script(program: click.Command, shell: str) -> str:
    """Give the script of a shell; `make docs` writes those that the wheel has."""
    from click.shell_completion import get_completion_class

    if shell == "bash":
        return _BASH.rstrip()
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choices are click's own
    source = kind(program, {}, "wherry", "_WHERRY_COMPLETE").source().rstrip()
    # A list of platforms contains commas, where click's script for fish would split it.
    return source.replace('string split ","', 'string split --max 1 ","')
