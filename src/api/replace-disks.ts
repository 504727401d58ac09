import { hashOf } from './hash.ts'
import { replaceDisksAnnotation } from './manifest/annotations.ts'
import { partNamePattern } from './names.ts'
import type { PrepareOrder } from './wire/agent-api.ts'
import type { DiskRecord, Identity } from './wire/identity.ts'

type DiskToken = NonNullable<PrepareOrder['replaceDisks']>[number]

/**
 * Identifies one edit that destroys data: the VM, its current disk and the requested one. Each created disk has its own id, so a token
 * never matches twice, even if the same edit is made again.
 */
export function replaceToken(identity: Identity, there: readonly DiskRecord[], wanted: PrepareOrder['disks'][number]): string {
  const made = there.map((one) => ({ ...one, madeAs: one.madeAs ?? identity.createdAt }))
  return hashOf(['replace-disk/v1', identity.uid, made, wanted]).slice(0, 16)
}

/** The line for the manifest. */
export function replaceLine(disk: string, token: string): string {
  return `${replaceDisksAnnotation}: "${disk}=${token}"`
}

const entry = /^(?<disk>[^=]+)=(?<token>[0-9a-f]{16})$/
const mostDisks = 16

/** `root=0123456789abcdef`, several with commas. Entries in another format are ignored. */
export function readReplaceDisks(annotations: Readonly<Record<string, string>>): DiskToken[] {
  const entries = (annotations[replaceDisksAnnotation] ?? '').split(/[,\s]+/).slice(0, mostDisks)
  return entries.flatMap((text) => {
    const { disk = '', token = '' } = entry.exec(text)?.groups ?? {}
    return partNamePattern.test(disk) ? [{ disk, token }] : []
  })
}
