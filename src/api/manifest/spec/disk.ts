import { z } from 'zod'
import { partNamePattern } from '../../names.ts'
import { field } from '../about.ts'
import { quantity } from '../values.ts'
import { image } from './image.ts'
import { localIso } from './local-files.ts'

export const disk = z.strictObject({
  name: field(z.string().regex(partNamePattern, 'a disk name is 1 to 20 characters of a-z 0-9 -'), {
    description: 'Names the disk file on the node.',
    effect: 'destroys-data',
  }),
  size: field(quantity('1Mi').optional(), {
    description: 'Size that the guest sees. A disk can grow while the VM runs, and cannot shrink.',
    needed: 'yes',
    effect: 'live',
  }),
  image: image.optional(),
  bus: field(z.enum(['virtio', 'scsi']).optional(), {
    description:
      'virtio (default) or scsi, for a guest without a driver for virtio-blk. Names of the disk in the guest change with it, such as /dev/vda and /dev/sda.',
    effect: 'restart',
  }),
  readOnly: field(z.boolean().optional(), {
    description: 'true attaches the disk so that the guest cannot write to it.',
    effect: 'restart',
  }),
  limits: field(
    z
      .strictObject({
        iops: field(z.int().min(1).max(10_000_000).optional(), {
          description: 'Most reads and writes in a second. Default: no limit.',
          effect: 'live',
        }),
        bandwidth: field(quantity('1Ki').optional(), {
          description: 'Most bytes that are read and written in a second. Default: no limit.',
          effect: 'live',
        }),
      })
      .optional(),
    { description: 'Limits of the guest on this disk.', effect: 'live' },
  ),
  cdrom: field(
    z
      .strictObject({
        path: field(z.string().regex(localIso, 'a CD-ROM is isos/NAME, a file in the isos directory of the state root').optional(), {
          description:
            'isos/NAME, a file in the isos directory of the node (/var/lib/swarmvirt/isos). Without it, the drive is empty. An edit changes or ejects the disc, also one that the guest has mounted.',
          effect: 'live',
        }),
      })
      .optional(),
    {
      description:
        'A SATA CD-ROM drive instead of a disk, with a read-only ISO image. It has no size and no image. The VM boots from the first disk and from CD-ROMs, in the order of the list.',
      effect: 'live',
    },
  ),
})
