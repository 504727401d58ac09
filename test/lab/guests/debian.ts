import { cp, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from './command.ts'
import { makeDiskImage } from './disk-image.ts'

const PACKAGES = [
  'linux-image-cloud-amd64',
  'systemd-sysv',
  'udev',
  'dbus',
  'cloud-init',
  'openssh-server',
  'qemu-guest-agent',
  'iproute2',
  'iputils-ping',
  'e2fsprogs',
  'sudo',
  'zstd',
]

/** Work that a guest which lives for minutes does not need, and that takes seconds of an emulated processor. */
const MASKED = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'logrotate.timer',
  'man-db.timer',
  'systemd-binfmt.service',
]

const UNREAD = ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*', '/usr/share/info/*']

/** A Debian with systemd, cloud-init, OpenSSH and the QEMU guest agent, on the bare disk with a serial console. */
export async function buildDebian(recipe: string, suite: string, work: string, qcow2: string): Promise<void> {
  const tree = join(work, 'tree')
  // A copy, since mmdebstrap keeps the owner that the files have in the checkout.
  const overlay = join(work, 'overlay')
  await cp(join(recipe, 'overlay'), overlay, { recursive: true })
  await command('mmdebstrap', [
    '--quiet',
    '--variant=minbase',
    `--include=${PACKAGES.join(',')}`,
    ...UNREAD.map((path) => `--dpkgopt=path-exclude=${path}`),
    // Before the kernel is installed, so that its initramfs is made once and holds a few modules only.
    `--essential-hook=sync-in '${overlay}' /`,
    suite,
    tree,
  ])
  await forgetIdentity(tree)
  for (const unit of MASKED) await symlink('/dev/null', join(tree, 'etc/systemd/system', unit))
  // cloud-init renders the network for systemd-networkd, which comes disabled.
  await command('chroot', [tree, 'systemctl', 'enable', 'systemd-networkd.service', 'serial-getty@ttyS0.service'])
  await writeBootConfig(tree)
  // Newer than /usr: spares the first boot what systemd does after an upgrade (ldconfig, the journal's catalogue, users).
  for (const directory of ['etc', 'var']) await writeFile(join(tree, directory, '.updated'), '')
  await makeDiskImage({ tree, bootDirectory: 'boot/extlinux', label: 'sv-debian', sizeMiB: 2048, qcow2, mke2fs: [] })
}

/** Values that must differ between guests are created at the first boot. */
async function forgetIdentity(tree: string): Promise<void> {
  await writeFile(join(tree, 'etc/machine-id'), '')
  await writeFile(join(tree, 'etc/hostname'), 'debian\n')
  await rm(join(tree, 'etc/resolv.conf'), { force: true })
  const ssh = join(tree, 'etc/ssh')
  for (const name of await readdir(ssh)) if (name.startsWith('ssh_host_')) await rm(join(ssh, name))
}

async function writeBootConfig(tree: string): Promise<void> {
  const boot = await readdir(join(tree, 'boot'))
  const kernel = boot.find((name) => name.startsWith('vmlinuz-'))
  const initrd = boot.find((name) => name.startsWith('initrd.img-'))
  if (kernel === undefined || initrd === undefined) throw new Error(`no kernel or initramfs in ${tree}/boot`)
  const options = 'console=ttyS0 quiet nokaslr mitigations=off no_timer_check random.trust_cpu=on cryptomgr.notests audit=0 nowatchdog'
  await mkdir(join(tree, 'boot/extlinux'), { recursive: true })
  await writeFile(
    join(tree, 'boot/extlinux/extlinux.conf'),
    [
      'DEFAULT debian',
      'PROMPT 0',
      'TIMEOUT 0',
      'LABEL debian',
      `  KERNEL /boot/${kernel}`,
      `  INITRD /boot/${initrd}`,
      `  APPEND root=LABEL=sv-debian ro ${options}`,
      '',
    ].join('\n'),
  )
}
