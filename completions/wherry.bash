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
