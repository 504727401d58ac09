import { mkdtemp, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { command } from './command.ts'

export type DiskImage = {
  /** Becomes the root of the file system; has `extlinux.conf` in `/boot/extlinux` or in `/`. */
  tree: string
  /** Where extlinux puts itself, seen from the tree. */
  bootDirectory: string
  label: string
  sizeMiB: number
  qcow2: string
  /** More arguments for mke2fs. */
  mke2fs: readonly string[]
}

/**
 * Makes a bootable qcow2: ext4 on the bare disk, with no partition table, so that a bigger disk needs no repartitioning.
 * extlinux cannot read the features 64bit and metadata_csum, nor big files on blocks of 1 KiB ("I/O error"), mke2fs's choice for small disks.
 */
export async function makeDiskImage(image: DiskImage): Promise<void> {
  const raw = `${image.qcow2}.raw`
  try {
    const features = '^64bit,^metadata_csum,^metadata_csum_seed,^orphan_file'
    const options = `-q -F -t ext4 -b 4096 -m 0 -O ${features} -E root_owner=0:0`.split(' ')
    await command('mke2fs', [...options, '-L', image.label, ...image.mke2fs, '-d', image.tree, raw, `${image.sizeMiB}M`])
    await installBootLoader(raw, image.bootDirectory)
    await command('qemu-img', ['convert', '-c', '-O', 'qcow2', raw, image.qcow2])
  } finally {
    await rm(raw, { force: true })
  }
}

/** extlinux wants the file system mounted; it writes its own sectors and the boot sector of the bare disk. */
async function installBootLoader(raw: string, bootDirectory: string): Promise<void> {
  const mountPoint = await mkdtemp(join(tmpdir(), 'guest-mount-'))
  try {
    await command('mount', ['-o', 'loop', raw, mountPoint])
    try {
      await command('extlinux', ['--install', join(mountPoint, bootDirectory)])
    } finally {
      // Also lets go of the loop device, which `mount -o loop` set to clear itself.
      await command('umount', [mountPoint])
    }
  } finally {
    // Never recursive: were the umount to fail, that would empty the image.
    await rmdir(mountPoint)
  }
}
