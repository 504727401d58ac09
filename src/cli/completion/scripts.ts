import { oneOf } from '../output/outcome.ts'

/** For calls of `docker-vm` itself. `docker vm` does not need these, since Docker's own completion asks the plugin. */
const scripts = {
  bash: `# docker-vm completion for bash: docker-vm completion bash > ~/.local/share/bash-completion/completions/docker-vm
_docker_vm() {
  local line directive=:0
  COMPREPLY=()
  while IFS= read -r line; do
    case "$line" in
      :[0-9]*) directive="$line" ;;
      *) COMPREPLY+=("$line") ;;
    esac
  done < <(docker-vm __completeNoDesc "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  if [ "\${#COMPREPLY[@]}" -eq 0 ] && [ "$directive" = :0 ]; then
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")
    compopt -o filenames 2>/dev/null
  fi
}
complete -F _docker_vm docker-vm
`,
  zsh: `#compdef docker-vm
# docker-vm completion for zsh: docker-vm completion zsh > "\${fpath[1]}/_docker-vm"
_docker_vm() {
  local line directive=:0 tab=$'\\t'
  local -a found
  for line in "\${(@f)$(docker-vm __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case "$line" in
      :[0-9]*) directive="$line" ;;
      ?*) found+=("\${\${line//:/\\\\:}/$tab/:}") ;;
    esac
  done
  if (( \${#found} )); then
    _describe 'docker-vm' found
  elif [[ "$directive" = :0 ]]; then
    _files
  fi
}
if [ "$funcstack[1]" = "_docker-vm" ]; then
  _docker_vm
else
  compdef _docker_vm docker-vm
fi
`,
  fish: `# docker-vm completion for fish: docker-vm completion fish > ~/.config/fish/completions/docker-vm.fish
function __docker_vm_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (docker-vm __complete $words[2..-1] 2>/dev/null)
    string match -v -r '^:\\d+$' -- $lines
    if test "$lines[-1]" = ':0'
        __fish_complete_path (commandline -ct)
    end
end
complete -c docker-vm -f -a '(__docker_vm_complete)'
`,
} as const

/** Throws UsageError for an unsupported shell. */
export function completionScript(shell: string): string {
  return scripts[oneOf('the shell', ['bash', 'zsh', 'fish'], shell)]
}
