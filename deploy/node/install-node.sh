#!/bin/sh
# Prepares this host as a swarmvirt node and starts its broker. Run it as root, and again after an upgrade or a change of options. Existing data stays.
#
#   deploy/node/install-node.sh --image swarmvirt-node:0.1.0 [--state-root /var/lib/swarmvirt] [--allow-bridge br0]... [--mac-prefix 52:54:00] \
#     [--enable-direct --allow-device eth1 ...]   devices for direct NICs (macvtap); gives the broker MKNOD and the macvtap devices \
#     [--fix-forward]   lets the broker add the rule that the FORWARD chain lacks for the allowed bridges \
#     [--protect 10.0.0.0/24]...   addresses or networks of other nodes, whose Swarm, Docker and control ports guests cannot reach. A guest behind
#                                  NAT reaches no port of an address that is written without a prefix length
#
# ADR 0004 defines the directories, owners and modes. ADR 0001 and 0013 define the broker's devices and capabilities. ADR 0031 defines the user network.
set -eu

image= root=/var/lib/swarmvirt mac_prefix=52:54:00 bridges= protected= direct= devices= forward=
while [ $# -gt 0 ]; do
  case $1 in
    --image) image=$2; shift 2 ;;
    --state-root) root=$2; shift 2 ;;
    --allow-bridge) bridges="$bridges $2"; shift 2 ;;
    --mac-prefix) mac_prefix=$2; shift 2 ;;
    --enable-direct) direct=yes; shift ;;
    --allow-device) devices="$devices $2"; shift 2 ;;
    --fix-forward) forward=yes; shift ;;
    --protect) protected="$protected $2"; shift 2 ;;
    *) echo "install-node: unknown option $1; see the comment at the top of this file" >&2; exit 2 ;;
  esac
done
[ -n "$image" ] || { echo "install-node: --image is missing, for example --image swarmvirt-node:0.1.0" >&2; exit 2; }
case $root in
  /*[!A-Za-z0-9/._-]*|*/../*|*/..|*/) echo "install-node: --state-root must be a plain absolute path without a trailing slash" >&2; exit 2 ;;
  /?*) ;;
  *) echo "install-node: --state-root must be an absolute path" >&2; exit 2 ;;
esac
# The limit of a UNIX socket path (107 bytes) minus the longest name below the root.
[ ${#root} -le 43 ] || { echo "install-node: --state-root is longer than 43 bytes, the limit for socket paths below it" >&2; exit 2; }
for bridge in $bridges; do
  case $bridge in *[!A-Za-z0-9_.-]*) echo "install-node: invalid bridge name $bridge" >&2; exit 2 ;; esac
done
for device in $devices; do
  case $device in *[!A-Za-z0-9_.-]*) echo "install-node: invalid device name $device" >&2; exit 2 ;; esac
done
case ${direct:-no}:${devices:+some} in
  yes:|no:some) echo "install-node: --enable-direct and --allow-device go together, for example --enable-direct --allow-device eth1" >&2; exit 2 ;;
esac
for network in $protected; do
  case $network in *[!A-Fa-f0-9.:/]*) echo "install-node: invalid address or network $network" >&2; exit 2 ;; esac
done

# Checks whether this kernel can encrypt overlays as Docker does (ESP with AES-GCM), in a temporary network namespace.
# Without it, Docker drops the frames and reports no error.
esp() {
  unshare --net true 2>/dev/null && ip -V >/dev/null 2>&1 || { echo unknown; return; }
  unshare --net ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x100 mode transport \
    aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 64 2>/dev/null && echo yes || echo no
}

agent=30701 group=30700
# directory DIR OWNER GROUP MODE: creates a missing directory and always sets owner and mode. Never changes the contents.
directory() {
  [ -d "$1" ] || mkdir "$1"
  chown "$2:$3" "$1"
  chmod "$4" "$1"
}
mkdir -p "$(dirname "$root")"
directory "$root" 0 $group 0751
directory "$root/images" 0 $group 0755
directory "$root/isos" 0 $group 0755
directory "$root/logs" 0 $group 0755
directory "$root/store" $agent $group 2750
directory "$root/grants" $agent $group 2750
directory "$root/instances" $agent $group 2751
directory "$root/sockets" 0 $group 2751
directory "$root/admin" 0 $group 2750
if [ ! -e "$root/layout.json" ]; then
  printf '{"version":1}\n' > "$root/layout.json.new"
  chmod 0644 "$root/layout.json.new"
  mv "$root/layout.json.new" "$root/layout.json"
fi

# The settings of the user network on this node. Docker creates its bridge with the first VM that needs it, under a name that the broker filters.
user_bridge=sv-user user_config=swarmvirt-user-config
if docker network inspect "$user_config" >/dev/null 2>&1; then
  found=$(docker network inspect --format '{{index .Options "com.docker.network.bridge.name"}}' "$user_config")
  [ "$found" = "$user_bridge" ] ||
    { echo "install-node: network $user_config has the bridge $found, and must have $user_bridge; remove the network and run this again" >&2; exit 1; }
else
  docker network create --config-only --opt "com.docker.network.bridge.name=$user_bridge" \
    --opt com.docker.network.bridge.enable_icc=false "$user_config" >/dev/null
fi

set -- run --detach --name swarmvirt-broker --restart always --network host --user 0:0 --group-add $group \
  --cap-drop ALL --cap-add NET_ADMIN --cap-add NET_RAW --security-opt no-new-privileges --read-only \
  --memory 256m --pids-limit 64 --log-opt max-size=1m --log-opt max-file=3 \
  --env "SWARMVIRT_STATE_ROOT=$root" --volume "$root:$root"
for device in /dev/kvm /dev/net/tun /dev/vhost-net; do
  [ -e "$device" ] && set -- "$@" --device "$device"
done
if [ -n "$direct" ]; then
  # The kernel assigns the major number when it loads macvtap, so it can differ after a reboot. Run this script again then.
  modprobe macvtap 2>/dev/null || true
  major=$(awk '$2 == "macvtap" { print $1; exit }' /proc/devices)
  [ -n "$major" ] || { echo "install-node: this kernel has no macvtap, which --enable-direct needs" >&2; exit 1; }
  set -- "$@" --cap-add MKNOD --device-cgroup-rule "c $major:* rw"
fi
set -- "$@" "$image" --max-semi-space-size=1 --max-old-space-size=128 /opt/swarmvirt/broker.cjs --state-root "$root" --mac-prefix "$mac_prefix" \
  --user-network "$user_bridge"
for bridge in ${bridges:-br0}; do set -- "$@" --allow-bridge "$bridge"; done
for network in $protected; do set -- "$@" --protect "$network"; done
[ -z "$direct" ] || set -- "$@" --enable-direct
[ -z "$forward" ] || set -- "$@" --fix-forward
for device in $devices; do set -- "$@" --allow-device "$device"; done

# VMs keep running without a broker: runners keep their descriptors and reclaim their leases from the next one.
docker rm --force swarmvirt-broker >/dev/null 2>&1 || true
docker "$@" >/dev/null
echo "swarmvirt broker is running on this node (state root $root, bridges ${bridges:-br0})"
case $(esp) in
  yes) echo "ESP: yes. If every node prints this, you can encrypt the control overlay with deploy/encrypted.yaml" ;;
  no) echo "ESP: no. This kernel cannot encrypt overlays. Deploy without deploy/encrypted.yaml, and close UDP port 4789 (docs/how-to/close-node-ports.md)" ;;
  *) echo "ESP: unknown, since ip or unshare is missing. Deploy without deploy/encrypted.yaml" ;;
esac
