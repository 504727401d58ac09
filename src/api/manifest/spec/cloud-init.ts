import { z } from 'zod'
import { field } from '../about.ts'
import { publicKey } from '../values.ts'

export const cloudInit = z.strictObject({
  userData: field(
    z
      .string()
      .max(256 * 1024)
      .optional(),
    { description: 'cloud-init user data, such as a #cloud-config. It travels as a Swarm secret.', effect: 'first-boot' },
  ),
  userDataSecret: field(
    z
      .string()
      .regex(/^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$/, 'not a name of a Swarm secret')
      .optional(),
    {
      description: 'Swarm secret that holds the user data.',
      effect: 'first-boot',
      notYet: true,
    },
  ),
  networkData: field(
    z
      .string()
      .max(64 * 1024)
      .optional(),
    {
      description:
        'cloud-init network configuration, version 1 or 2, instead of the one that swarmvirt writes. Does not go with ipv4 of a network. It travels as a Swarm secret.',
      effect: 'first-boot',
    },
  ),
  sshAuthorizedKeys: field(z.array(publicKey()).max(64).default([]), {
    description:
      "Public keys for the guest's default user, one OpenSSH line each. Most images let nobody in without one. They are public, so they travel in a Swarm config.",
    effect: 'first-boot',
  }),
})
