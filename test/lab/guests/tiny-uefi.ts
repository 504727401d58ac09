import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { command } from './command.ts'
import { tinyParts } from './tiny.ts'

/** Debian's boot loaders with their signatures, and the programs that put an EFI system partition together. */
const tools = ['systemd-ukify', 'systemd-boot-efi', 'shim-signed', 'grub-efi-amd64-signed', 'mtools', 'dosfstools', 'fdisk', 'e2fsprogs']

/** MiB: an EFI system partition with kernel and initramfs, then the file system that the guest calls its root disk. */
const [espAt, espMiB, dataAt, dataMiB] = [1, 48, 49, 24]

/**
 * The tiny guest for UEFI, on a GPT disk. `signed` boots Debian's shim, GRUB and kernel, which Microsoft's key verifies. Otherwise its loader is a
 * unified kernel image without a signature.
 */
export async function buildTinyUefi(tiny: string, own: string, suite: string, work: string, done: string): Promise<void> {
  const { vmlinuz, initrd, args } = await tinyParts(tiny, suite, work)
  const root = join(work, 'tools')
  await command('mmdebstrap', ['--quiet', '--variant=apt', `--include=${tools.join(',')}`, suite, root])
  await mkdir(join(root, 'work/data/data'), { recursive: true })
  await copyFile(vmlinuz, join(root, 'work/vmlinuz'))
  await copyFile(initrd, join(root, 'work/initrd'))
  await copyFile(vmlinuz, join(done, 'vmlinuz'))
  await copyFile(initrd, join(done, 'initrd'))
  const grub = await readFile(join(own, 'grub.cfg'), 'utf8')
  await writeFile(join(root, 'work/grub.cfg'), grub.replace('ARGUMENTS', args))
  const inTools = (...argv: readonly string[]): Promise<Buffer> =>
    command('chroot', [root, 'sh', '-ec', 'cd /work && exec "$@"', 'sh', ...argv])
  await inTools('ukify', 'build', '--linux=vmlinuz', '--initrd=initrd', `--cmdline=${args}`, '--output=uki.efi')
  const [shim, loader] = ['/usr/lib/shim/shimx64.efi.signed', '/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed']
  await makeDisk(inTools, root, join(done, 'tiny-uefi.qcow2'), { 'EFI/BOOT/BOOTX64.EFI': 'uki.efi' })
  await makeDisk(inTools, root, join(done, 'tiny-signed.qcow2'), {
    'EFI/BOOT/BOOTX64.EFI': shim,
    'EFI/BOOT/grubx64.efi': loader,
    'EFI/debian/grub.cfg': 'grub.cfg',
    vmlinuz: 'vmlinuz',
    initrd: 'initrd',
  })
}

async function makeDisk(
  inTools: (...argv: readonly string[]) => Promise<Buffer>,
  root: string,
  qcow2: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const offset = `disk.raw@@${espAt}M`
  await rm(join(root, 'work/disk.raw'), { force: true })
  await inTools('truncate', '--size', `${dataAt + dataMiB + 1}M`, 'disk.raw')
  const table = `label: gpt\nstart=${espAt}MiB, size=${espMiB}MiB, type=U\nstart=${dataAt}MiB, size=${dataMiB}MiB, type=L\n`
  await writeFile(join(root, 'work/table'), table)
  await inTools('sh', '-c', 'exec sfdisk --quiet disk.raw <table')
  await inTools('mformat', '-i', offset, '-F', '-T', String(espMiB * 2048), '-h', '64', '-s', '32', '::')
  const directories = new Set(
    Object.keys(files).flatMap((path) =>
      path
        .split('/')
        .slice(0, -1)
        .map((_one, index, all) => all.slice(0, index + 1).join('/')),
    ),
  )
  for (const directory of [...directories].sort()) await inTools('mmd', '-i', offset, `::${directory}`)
  for (const [path, from] of Object.entries(files)) await inTools('mcopy', '-i', offset, from, `::${path}`)
  await inTools(
    'mke2fs',
    '-q',
    '-F',
    '-t',
    'ext4',
    '-L',
    'sv-tiny',
    '-J',
    'size=4',
    '-d',
    'data',
    '-E',
    `offset=${dataAt * 1024 ** 2}`,
    'disk.raw',
    `${dataMiB}M`,
  )
  await command('qemu-img', ['convert', '-c', '-O', 'qcow2', join(root, 'work/disk.raw'), qcow2])
}
