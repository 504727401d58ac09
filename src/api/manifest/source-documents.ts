import type { VmName } from '../names.ts'
import type { ManifestIssue, VirtualMachine, VirtualMachineClass } from '../manifest.ts'

/** The position of a document. Used in messages and to distinguish two documents of the same VM. */
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
  /** The complete text for users: code, position, three lines with a caret, help. */
  readonly rendered: string
}

/**
 * A document as read. A VM with a class is only complete once all sources were read: resolve-classes.ts turns these into SourceDocuments.
 */
export type ReadDocument = ValidDocument | InvalidDocument<ValidDocument | ClassedDocument> | ClassDocument | ClassedDocument
/** A valid VM, or an invalid one with its errors. */
export type SourceDocument = ValidDocument | InvalidDocument
export type MachineDocument = ValidDocument | InvalidMachine

export interface ValidDocument {
  readonly ok: true
  readonly origin: Origin
  readonly vm: VirtualMachine
  readonly generation: string
  /** Renders an issue at its place in the text; undefined for paths whose place was not kept. Pure. */
  readonly issueAt?: (issue: ManifestIssue) => SourceIssue | undefined
  readonly warnings?: readonly SourceIssue[]
}

export interface ClassDocument {
  readonly ok: true
  readonly origin: Origin
  readonly class: VirtualMachineClass
}

/** A VM without errors of its own, before it is merged with its class. */
export interface ClassedDocument {
  readonly ok: true
  readonly origin: Origin
  readonly name: VmName
  readonly className: string
  /** Merges the class, or the reason why there is none. Pure; caches the last result. */
  readonly complete: (found: VirtualMachineClass | NoClass) => SourceDocument
  /** The next older document of this name, if its source still has one. It is used if this one is invalid, with its class. */
  readonly standIn?: ValidDocument | ClassedDocument
}

export interface NoClass {
  readonly missing: string
  readonly help: string
}

export type InvalidDocument<StandIn = ValidDocument> = InvalidMachine<StandIn> | InvalidClass<StandIn>

interface InvalidMachine<StandIn = ValidDocument> extends Invalid<StandIn> {
  readonly isClass?: never
  /** Undefined if it cannot be read. */
  readonly name: VmName | undefined
}

interface InvalidClass<StandIn> extends Invalid<StandIn> {
  readonly isClass: true
  /** Undefined if it cannot be read. */
  readonly name: string | undefined
}

interface Invalid<StandIn> {
  readonly ok: false
  readonly origin: Origin
  /**
   * The document is of another kind, such as "apps/v1 Deployment". It is well-formed and has no VM, and is no error: other objects may be
   * stored beside manifests.
   */
  readonly otherKind?: string
  readonly issues: readonly SourceIssue[]
  readonly warnings?: readonly SourceIssue[]
  /** The newest valid document of this name that the source still has behind this one. It is used until this one is valid. */
  readonly standIn?: StandIn
}

/**
 * One read of a source. With `complete: false` (the directory is missing, or a file could not be read) an absent document may still exist,
 * so nothing may be removed because of this read.
 */
export interface SourceSnapshot {
  readonly source: string
  readonly complete: boolean
  /** Why it is not complete, or another note for users; empty if there is none. */
  readonly message: string
  /** Something may still be written and is ignored for now. Another read after this time may find it finished. */
  readonly readAgainMs?: number
  /** The state of the source for users: target of the git-sync link, or the git HEAD. */
  readonly revision?: string
  /** Documents that a newer one of the same name replaces. They are not in `documents`. */
  readonly superseded?: readonly Superseded[]
  /** Superseded configs, which may be deleted after some time. */
  readonly collectable?: readonly Collectable[]
  readonly documents: readonly ReadDocument[]
}

/** The VM or class in a document; undefined if it cannot be read. Names of classes and of VMs do not collide. */
export function subjectOf(document: ReadDocument): string | undefined {
  if ('vm' in document) return document.vm.metadata.name
  if ('class' in document) return `class/${document.class.name}`
  if (document.ok || document.isClass !== true || document.name === undefined) return document.name
  return `class/${document.name}`
}

/** A Swarm config of `docker vm apply` in which every document is replaced by a newer valid one. */
export interface Collectable {
  readonly id: string
  readonly name: string
  /** Epoch milliseconds on the Swarm's clock at which its last document was superseded. */
  readonly sinceMs: number
  /** Newer documents whose validity depends on their classes. All of them must be valid. */
  readonly unproven: readonly { readonly file: string; readonly name: string }[]
}

export interface Superseded {
  readonly file: string
  readonly name: string
  /** File of the newer one. */
  readonly by: string
}
