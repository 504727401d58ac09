#!/bin/sh
# Docker CLI plugin "vm" of swarmvirt. Needs Node @NODE@ or later on PATH (or SWARMVIRT_NODE=/path/to/node), and swarmvirt-cli.cjs beside it.
if [ "$1" = docker-cli-plugin-metadata ]; then
  printf '%s\n' '@METADATA@'
  exit 0
fi

# A link (from a package, or to a checkout) is followed to where the program lies.
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
  echo "error: $program is missing: swarmvirt-cli.cjs belongs beside docker-vm" >&2
  exit 2
fi
if ! command -v "$node" >/dev/null 2>&1; then
  echo "error: docker vm needs Node.js @NODE@ or later, and there is no \"$node\" on PATH; install it, or set SWARMVIRT_NODE" >&2
  exit 2
fi
exec "$node" "$program" "$@"
