import type { ManifestIssue, VirtualMachine, VirtualMachineClass } from '../manifest.ts'

/** The position of a document, for messages and to tell two documents of the same VM apart. */
export interface Origin {
  /** `directory` or `configs`. */
  readonly source: string
  /** Path below the directory, or the config's name. */
  readonly file: string
  /** 1-based line of the document's first key. */
  readonly line: number
}

export interface SourceIssue extends ManifestIssue {
  readonly file: string
  /** 1-based. */
  readonly line: number
  readonly column: number
  /** The whole thing as it is shown to people: code, position, three lines with a caret, help. */
  readonly rendered: string
}

/** A document as read. A VM with a class is only complete once all sources were read: resolve-classes.ts turns these into SourceDocuments. */
export type ReadDocument = ValidDocument | InvalidDocument<ValidDocument | ClassedDocument> | ClassDocument | ClassedDocument
/** A valid VM, or an invalid one with its errors. */
export type SourceDocument = ValidDocument | InvalidDocument

export interface ValidDocument {
  readonly ok: true
  readonly origin: Origin
  readonly vm: VirtualMachine
  readonly generation: string
  /** Shows an issue at its place in the text; undefined for paths whose place was not kept. Pure. */
  readonly issueAt?: (issue: ManifestIssue) => SourceIssue | undefined
  readonly warnings?: readonly SourceIssue[]
}

export interface ClassDocument {
  readonly ok: true
  readonly origin: Origin
  readonly class: VirtualMachineClass
}

/** A VM without errors of its own that still needs its class. */
export interface ClassedDocument {
  readonly ok: true
  readonly origin: Origin
  readonly name: string
  readonly className: string
  /** Merges the class, or the reason why there is none. Pure; caches the last result. */
  readonly complete: (found: VirtualMachineClass | NoClass) => SourceDocument
  /** The next older document of this name that may be right, where the source still holds one; it counts where this one is not, with its class. */
  readonly standIn?: ValidDocument | ClassedDocument
}

export interface NoClass {
  readonly missing: string
  readonly help: string
}

export interface InvalidDocument<StandIn = ValidDocument> {
  readonly ok: false
  readonly origin: Origin
  readonly name: string | undefined
  /** It is no VM but a class, of this name if that can be read. */
  readonly isClass?: true
  /** It is of another kind, such as "apps/v1 Deployment": well-formed, holds no VM, and is nobody's mistake where other things lie beside manifests. */
  readonly otherKind?: string
  readonly issues: readonly SourceIssue[]
  readonly warnings?: readonly SourceIssue[]
  /** The newest valid document of this name that the source still holds behind this one; it counts until this one is valid. */
  readonly standIn?: StandIn
}

/**
 * One read of a source. `complete: false` (the directory is missing, a file could not be read) means that what is absent here may still exist:
 * nothing may be removed because of such a read.
 */
export interface SourceSnapshot {
  readonly source: string
  readonly complete: boolean
  /** Why it is not complete, or what else a person should know; empty when all is well. */
  readonly message: string
  /** Something may still be written and does not count yet: another read after so long may find it finished. */
  readonly readAgainMs?: number
  /** What the source stands at, for people: target of git-sync's link, or the git HEAD. */
  readonly revision?: string
  /** Documents that a newer one of the same name stands before; they are not in `documents`. */
  readonly superseded?: readonly Superseded[]
  /** What may be removed for good some time after it was superseded. */
  readonly collectable?: readonly Collectable[]
  readonly documents: readonly ReadDocument[]
}

/** The VM or class that a document is about; undefined where that cannot be read. Names of classes and of VMs do not meet. */
export function subjectOf(document: ReadDocument): string | undefined {
  if ('vm' in document) return document.vm.metadata.name
  if ('class' in document) return `class/${document.class.name}`
  if (document.ok || document.isClass !== true || document.name === undefined) return document.name
  return `class/${document.name}`
}

/** A Swarm config of `docker vm apply` with nothing in it but documents that newer valid ones stand before. */
export interface Collectable {
  readonly id: string
  readonly name: string
  /** Epoch milliseconds, by the Swarm's clock, at which the last of its documents was superseded. */
  readonly sinceMs: number
  /** Newer documents of which only their classes say whether they are valid; all must be. */
  readonly unproven: readonly { readonly file: string; readonly name: string }[]
}

export interface Superseded {
  readonly file: string
  readonly name: string
  /** File of the newer one. */
  readonly by: string
}
