import { access } from 'node:fs/promises'
import { command } from './command.ts'

/** A file of each Debian package that building and trying a guest needs; the file is what shows the package is there. */
const FILES: Record<string, string> = {
  '/usr/bin/qemu-img': 'qemu-utils',
  '/usr/bin/qemu-system-x86_64': 'qemu-system-x86',
  '/usr/bin/mmdebstrap': 'mmdebstrap',
  '/usr/bin/extlinux': 'extlinux',
  '/usr/sbin/mke2fs': 'e2fsprogs',
  '/usr/bin/cpio': 'cpio',
  '/usr/bin/xz': 'xz-utils',
  '/usr/bin/genisoimage': 'genisoimage',
  '/usr/bin/ssh': 'openssh-client',
}

/** Installs what is missing. Another apt may be at work: wait for its lock. */
export async function ensurePackages(): Promise<void> {
  const missing: string[] = []
  for (const [file, name] of Object.entries(FILES)) {
    await access(file).catch(() => missing.push(name))
  }
  if (missing.length === 0) return
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=300']
  await command('apt-get', [...options, 'update'])
  await command('apt-get', [...options, 'install', '-y', '--no-install-recommends', ...missing])
}
