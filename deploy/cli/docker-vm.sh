#!/bin/sh
# Docker CLI plugin "vm" of swarmvirt. Needs Node @NODE@ or later on PATH (or SWARMVIRT_NODE=/path/to/node), and swarmvirt-cli.cjs next to it.
if [ "$1" = docker-cli-plugin-metadata ]; then
  printf '%s\n' '@METADATA@'
  exit 0
fi

# Follow symlinks (from a package, or to a checkout) to the program.
self=$0
while [ -L "$self" ]; do
  target=$(readlink -- "$self") || exit 2
  case $target in
    /*) self=$target ;;
    *) self=${self%/*}/$target ;;
  esac
done
program=${self%/*}/swarmvirt-cli.cjs
node=${SWARMVIRT_NODE:-node}

if [ ! -f "$program" ]; then
  echo "error: $program is missing; put swarmvirt-cli.cjs next to docker-vm" >&2
  exit 2
fi
if ! command -v "$node" >/dev/null 2>&1; then
  echo "error: docker vm needs Node.js @NODE@ or later, but \"$node\" is not on PATH; install it, or set SWARMVIRT_NODE" >&2
  exit 2
fi
exec "$node" "$program" "$@"
