import { z } from 'zod'
import { field } from '../about.ts'
import { localImage } from './local-files.ts'

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'a sha256 is 64 lower-case hex digits')

/** A reference as `docker pull` accepts it: host, path, tag and digest. It is checked further when it is pulled. */
const ociImage = /^oci:\/\/[a-z0-9.-]+(:\d{1,5})?(\/[a-z0-9._-]+)+(:[A-Za-z0-9_.-]{1,128})?(@sha256:[0-9a-f]{64})?$/

/** A URL without user and password, and without parts that a URL parser would drop or correct. */
const networkImage = /^https?:\/\/(?![^/?#]*@)[^\s\\]+$/

export function isNetworkImage(source: string): boolean {
  return networkImage.test(source) && URL.canParse(source)
}

/** For the JSON Schema, which cannot parse a URL. */
const anyImage = [localImage, networkImage, ociImage].map(({ source }) => source).join('|')

export const image = field(
  z.strictObject({
    source: field(
      z
        .string()
        .max(2048)
        .refine((source) => localImage.test(source) || isNetworkImage(source) || ociImage.test(source), {
          message: 'an image source is images/NAME (a file in the images directory of the state root) or an http(s):// URL',
        })
        .meta({ pattern: anyImage, patternErrorMessage: 'an image source is images/NAME or an http(s):// URL' }),
      {
        description:
          'images/NAME, a file in the images directory of every node that may run the VM (/var/lib/swarmvirt/images), or an http:// or https:// URL, which needs sha256.',
        form: 'images/debian-13.qcow2',
        effect: 'destroys-data',
        notYetValues: ['oci://'],
      },
    ),
    sha256: field(sha256.optional(), {
      description: 'SHA-256 of the image file. Required for a URL. Optional for images/NAME: the file must then match.',
      needed: 'for a URL',
      effect: 'destroys-data',
    }),
    insecure: field(z.boolean().optional(), {
      description: 'true takes an image from the network without its sha256: whatever is served there becomes the disk.',
      effect: 'live',
      notYet: true,
    }),
  }),
  {
    description: 'Initial content of the disk: a qcow2 or raw image, which is copied and never written to. Without it, the disk is blank.',
    effect: 'destroys-data',
  },
)
