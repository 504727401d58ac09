#!/bin/sh
# Runs inside a new mount and UTS namespace (and, for a node, its network namespace), gives it what a machine has of
# its own, and stays as the process that keeps the namespace alive.
# $1 host name, $2 directory for /run, $3 directory for /var/lib/swarmvirt, $4 an empty directory as a mount point,
# $5 own-network or machine-network
set -eu
hostname "$1"

# Names of other namespaces would keep those alive from in here.
while grep -q ' /run/netns ' /proc/self/mountinfo; do umount --lazy /run/netns; done

# /etc/resolv.conf may be a link into /run.
cat /etc/resolv.conf > "$2/resolv.conf" 2>/dev/null || :
mount --bind "$2" /run
if [ -L /etc/resolv.conf ]; then mount --bind /run/resolv.conf "$(readlink -m /etc/resolv.conf)" 2>/dev/null || :; fi

mkdir -p /var/lib/swarmvirt
mount --bind "$3" /var/lib/swarmvirt

# sysfs shows the network namespace it was mounted in; the cgroups below it must come back.
if [ "$5" = own-network ]; then
  mount --rbind /sys/fs/cgroup "$4"
  mount -t sysfs sysfs /sys
  mount --rbind "$4" /sys/fs/cgroup
  umount --lazy "$4"
fi

echo ready
exec sleep infinity >/dev/null 2>&1 </dev/null
