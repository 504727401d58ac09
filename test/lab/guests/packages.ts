import { type DebianPackage, ensurePackages } from '../packages.ts'

/** The packages that building and testing a guest needs. */
const guestPackages: readonly DebianPackage[] = [
  { file: '/usr/bin/qemu-img', pkg: 'qemu-utils' },
  { file: '/usr/bin/qemu-system-x86_64', pkg: 'qemu-system-x86' },
  { file: '/usr/bin/mmdebstrap', pkg: 'mmdebstrap' },
  { file: '/usr/bin/extlinux', pkg: 'extlinux' },
  { file: '/usr/sbin/mke2fs', pkg: 'e2fsprogs' },
  { file: '/usr/bin/cpio', pkg: 'cpio' },
  { file: '/usr/bin/xz', pkg: 'xz-utils' },
  { file: '/usr/bin/genisoimage', pkg: 'genisoimage' },
  { file: '/usr/bin/ssh', pkg: 'openssh-client' },
]

export function ensureGuestPackages(): Promise<void> {
  return ensurePackages(guestPackages)
}
