import { chmod, copyFile, cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { constants, zstdCompressSync } from 'node:zlib'
import { command } from './command.ts'
import { makeDiskImage } from './disk-image.ts'

/** Modules that every boot loads, those of a boot with UEFI, and those that only a seed on a CD-ROM (IDE or SATA), or a SCSI disk, needs. */
const MODULES = {
  first: ['button', 'evdev', 'virtio_blk', 'virtio_net', 'isofs', 'af_packet', 'pvpanic-pci', 'virtio_balloon'],
  uefi: ['efivarfs'],
  cdrom: ['ahci', 'ata_piix', 'virtio_scsi', 'sr_mod', 'sd_mod', 'vfat', 'nls_cp437', 'nls_ascii', 'nls_utf8'],
}

/** Debian's cloud kernel and busybox, unpacked and not installed, become a bootable disk of a few MB. */
export async function buildTiny(recipe: string, suite: string, work: string, qcow2: string): Promise<void> {
  const { vmlinuz, initrd } = await tinyParts(recipe, suite, work)
  const tree = join(work, 'tree')
  await mkdir(join(tree, 'data'), { recursive: true })
  await copyFile(vmlinuz, join(tree, 'vmlinuz'))
  await copyFile(join(recipe, 'extlinux.conf'), join(tree, 'extlinux.conf'))
  await copyFile(initrd, join(tree, 'initrd'))

  // 4 MiB of journal and the rest for notes that tests leave; what is empty takes no room in the qcow2.
  await makeDiskImage({ tree, bootDirectory: '.', label: 'sv-tiny', sizeMiB: 48, qcow2, mke2fs: ['-J', 'size=4'] })
}

/** Paths of the kernel and the initramfs, and the kernel's arguments. */
export async function tinyParts(recipe: string, suite: string, work: string): Promise<{ vmlinuz: string; initrd: string; args: string }> {
  const packages = join(work, 'packages')
  await command('mmdebstrap', ['--quiet', '--variant=extract', '--include=linux-image-cloud-amd64,busybox-static', suite, packages])
  const kernel = (await readdir(join(packages, 'boot'))).find((name) => name.startsWith('vmlinuz-'))
  if (kernel === undefined) throw new Error(`no kernel among the packages of ${suite}`)

  const initrd = join(work, 'initrd')
  await writeFile(initrd, await makeInitramfs(recipe, packages, kernel.replace('vmlinuz-', ''), join(work, 'initramfs')))
  const args = /APPEND (.*)$/m.exec(await readFile(join(recipe, 'extlinux.conf'), 'utf8'))?.[1] ?? ''
  return { vmlinuz: join(packages, 'boot', kernel), initrd, args }
}

async function makeInitramfs(recipe: string, packages: string, release: string, root: string): Promise<Buffer> {
  for (const directory of ['bin', 'sbin', 'dev', 'proc', 'sys', 'run', 'tmp', 'etc/acpi/PWRF', 'modules', 'www']) {
    await mkdir(join(root, directory), { recursive: true })
  }
  const busybox = join(root, 'bin/busybox')
  await copyFile(join(packages, 'usr/bin/busybox'), busybox)
  await chmod(busybox, 0o755)
  const applets = (await command(busybox, ['--list'])).toString().trim().split('\n')
  for (const applet of applets) {
    if (applet !== 'busybox') await symlink('busybox', join(root, 'bin', applet))
  }
  const modules = join(packages, 'usr/lib/modules', release)
  const seen = new Set<string>()
  for (const [list, names] of Object.entries(MODULES)) {
    const files = await copyModules(modules, names, join(root, 'modules'), seen)
    await writeFile(join(root, 'modules', list), files.map((file) => `${file}\n`).join(''))
  }
  await installScript(join(recipe, 'init'), join(root, 'init'))
  await installScript(join(recipe, 'udhcpc'), join(root, 'etc/udhcpc'))
  await installScript(join(recipe, 'orderly-shutdown'), join(root, 'sbin/orderly-shutdown'))
  await symlink('/sbin/orderly-shutdown', join(root, 'etc/acpi/PWRF/00000080'))
  await cp(join(recipe, 'cgi-bin'), join(root, 'www/cgi-bin'), { recursive: true })
  for (const page of await readdir(join(root, 'www/cgi-bin'))) await chmod(join(root, 'www/cgi-bin', page), 0o755)
  return packInitramfs(root)
}

async function installScript(from: string, to: string): Promise<void> {
  await copyFile(from, to)
  await chmod(to, 0o755)
}

/**
 * Copies modules and what they depend on, unpacked, and gives their file names in the order in which to load them.
 * A module that is built into this kernel has no file and needs none.
 */
async function copyModules(modules: string, names: readonly string[], to: string, seen: Set<string>): Promise<string[]> {
  const index = await moduleIndex(modules)
  const order: string[] = []
  const add = async (path: string): Promise<void> => {
    if (seen.has(path)) return
    seen.add(path)
    for (const dependency of await dependenciesOf(join(modules, path))) {
      const found = index.get(dependency)
      if (found !== undefined) await add(found)
    }
    const file = moduleName(path) + '.ko'
    await writeFile(join(to, file), await moduleBytes(join(modules, path)))
    order.push(file)
  }
  for (const name of names) {
    const path = index.get(name.replaceAll('-', '_'))
    if (path !== undefined) await add(path)
  }
  return order
}

/** Packages that are only unpacked have no modules.dep, so the dependencies are read from each module. */
async function moduleIndex(modules: string): Promise<Map<string, string>> {
  const paths = await readdir(join(modules, 'kernel'), { recursive: true })
  const files = paths.filter((path) => /\.ko(\.xz)?$/.test(path))
  return new Map(files.map((path) => [moduleName(path), join('kernel', path)]))
}

async function dependenciesOf(path: string): Promise<string[]> {
  // A module's .modinfo section is a run of NUL-ended `key=value` strings.
  const text = (await moduleBytes(path)).toString('latin1')
  const found = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? ''
  return found
    .split(',')
    .filter((name) => name !== '')
    .map((name) => name.replaceAll('-', '_'))
}

async function moduleBytes(path: string): Promise<Buffer> {
  return path.endsWith('.xz') ? command('xz', ['-dc', path]) : readFile(path)
}

function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko(\.xz)?$/, '')
    .replaceAll('-', '_')
}

async function packInitramfs(root: string): Promise<Buffer> {
  const names = (await readdir(root, { recursive: true })).sort()
  const archive = await command('cpio', ['--quiet', '-o', '-H', 'newc', '-R', '0:0', '--reproducible'], {
    cwd: root,
    input: `${names.join('\n')}\n`,
  })
  // zstd at its slowest: unpacks faster than xz under emulation, and is nearly as small.
  return zstdCompressSync(archive, { params: { [constants.ZSTD_c_compressionLevel]: 19 } })
}
