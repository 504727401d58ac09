import { hashOf } from './hash.ts'
import { replaceDisksAnnotation } from './manifest/document.ts'
import { partNamePattern } from './names.ts'
import type { PrepareOrder } from './wire/agent-api.ts'
import type { Identity } from './wire/identity.ts'

type DiskRecord = Identity['disks'][number]
type DiskToken = NonNullable<PrepareOrder['replaceDisks']>[number]

/**
 * Stands for one edit that destroys what is on disks: who the VM is, what is there now, and what is to be there instead. Each making of a disk
 * has an id of its own, so a token that was given once never matches again, not even when the same edit is made a second time.
 */
export function replaceToken(identity: Identity, there: readonly DiskRecord[], wanted: PrepareOrder['disks'][number]): string {
  const made = there.map((one) => ({ ...one, madeAs: one.madeAs ?? identity.createdAt }))
  return hashOf(['replace-disk/v1', identity.uid, made, wanted]).slice(0, 16)
}

/** As it goes into a manifest. */
export function replaceLine(disk: string, token: string): string {
  return `${replaceDisksAnnotation}: "${disk}=${token}"`
}

const entry = /^(?<disk>[^=]+)=(?<token>[0-9a-f]{16})$/
const mostDisks = 16

/** `root=0123456789abcdef`, several with commas. What is not of this form allows nothing. */
export function readReplaceDisks(annotations: Readonly<Record<string, string>>): DiskToken[] {
  const entries = (annotations[replaceDisksAnnotation] ?? '').split(/[,\s]+/).slice(0, mostDisks)
  return entries.flatMap((text) => {
    const { disk = '', token = '' } = entry.exec(text)?.groups ?? {}
    return partNamePattern.test(disk) ? [{ disk, token }] : []
  })
}
