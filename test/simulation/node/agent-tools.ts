import type { DiskClaims } from '../../../src/ports/disk-claims.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { ArrivalError, type ImageArrivals } from '../../../src/ports/image-arrivals.ts'
import type { ImageTool } from '../../../src/ports/image-tool.ts'
import type { SeededRandom } from '../seeded-random.ts'
import type { MemoryDisk } from './memory-disk.ts'
import type { Process } from './process.ts'
import { qcow2Header } from './qcow2.ts'
import type { Steps } from './steps.ts'

export interface ToolPorts {
  readonly disk: MemoryDisk
  readonly process: Process
  readonly steps: Steps
  readonly random: SeededRandom
}

const imageBytes = 2 ** 20

/** Copies take their time; a file that is being written has its name already. */
export function memoryArrivals({ disk, process, steps, random }: ToolPorts): ImageArrivals {
  const wait = (ms: number): Promise<void> => new Promise((resolve) => process.clock.after(ms, resolve))
  return {
    async copy(from, to, options) {
      const image = disk.at(from)?.image
      if (image === undefined) throw new ArrivalError('Missing', `ENOENT: no such file or directory, ${from}`)
      await steps.take(process, to, true, () => {
        if (disk.full || options.maxBytes < imageBytes) throw new ArrivalError('NoSpace', `no space is left for ${to}`)
        disk.put(to, {}, process)
      })
      await wait(random.int(50, 900))
      options.onProgress(imageBytes, imageBytes)
      await steps.take(process, to, true, () => void disk.put(to, { image }, process))
      return { sha256: image.sha256, bytes: imageBytes, start: qcow2Header(image), contentType: undefined }
    },
    download: async (url) => {
      await wait(random.int(50, 900))
      throw new ArrivalError('Network', `getaddrinfo ENOTFOUND ${url}`)
    },
  }
}

export function memoryImageTool({ disk, process, steps }: ToolPorts): ImageTool {
  return {
    info: (path) =>
      steps.take(process, `qemu-img info ${path}`, false, () => {
        const image = disk.at(path)?.image
        if (image === undefined) throw new PortError('Invalid', `Could not open '${path}'`)
        return { virtualSizeBytes: image.virtualSizeBytes, backingFile: image.backing, dataFile: undefined, encrypted: false }
      }),
    check: (path) => steps.take(process, `qemu-img check ${path}`, false, () => undefined),
    createDisk: (path, backing, sizeBytes) =>
      steps.take(process, `qemu-img create ${path}`, true, () => {
        if (disk.full) throw new PortError('Invalid', 'No space left on device')
        if (disk.at(path) !== undefined) throw new PortError('Invalid', `${path} is there already`)
        disk.put(path, { image: { backing: backing?.path, virtualSizeBytes: sizeBytes, sha256: '' } }, process)
      }),
  }
}

/** The kernel gives the locks of a program up when it ends. */
export function memoryClaims({ disk, process, steps }: ToolPorts): DiskClaims {
  return {
    claim: (path) =>
      steps.take(process, `lock ${path}`, false, () => {
        const inode = disk.at(path)
        if (inode?.lockedBy?.alive === true) return { kind: 'inUse' }
        if (inode !== undefined) inode.lockedBy = process
        const release = (): void => void (inode?.lockedBy === process && (inode.lockedBy = undefined))
        return { kind: 'claimed', release: () => steps.take(process, `unlock ${path}`, false, release) }
      }),
  }
}
