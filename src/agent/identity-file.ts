import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import { type Identity, identity as identitySchema } from '../api/wire/identity.ts'
import type { StateFiles } from '../ports/state-files.ts'
import type { SeenInstance } from './prepare-plan.ts'

const maxDocumentBytes = 64 * 1024

/** Version in `layout.json`. Undefined if the file is missing or invalid. */
export async function readLayoutVersion({
  files,
  layout,
}: {
  readonly files: Pick<StateFiles, 'readText'>
  readonly layout: Layout
}): Promise<number | undefined> {
  const text = await files.readText(layout.layoutFile, maxDocumentBytes)
  const document = text === undefined ? undefined : (parseJson(text) as { version?: unknown } | undefined)
  return typeof document?.version === 'number' ? document.version : undefined
}

/** Throws StateError if the file cannot be read, which is neither an absence nor an invalid document. */
export async function readIdentity(files: Pick<StateFiles, 'readText'>, path: string): Promise<SeenInstance['identity']> {
  const text = await files.readText(path, maxDocumentBytes)
  if (text === undefined) return { kind: 'absent' }
  const parsed = identitySchema.safeParse(parseJson(text))
  if (parsed.success) return { kind: 'known', identity: parsed.data }
  return { kind: 'unreadable', message: parsed.error.issues[0]?.message ?? 'it is not an identity' }
}

/** The identity of an interrupted preparation or replacement. Throws StateError. */
export async function readDraft(files: Pick<StateFiles, 'readText'>, layout: Layout, uid: VmUid): Promise<Identity | undefined> {
  const draft = await readIdentity(files, layout.identityDraft(uid))
  return draft.kind === 'known' ? draft.identity : undefined
}

export interface Owner {
  readonly seen: SeenInstance['identity']
  /** `seen` is the draft of a preparation that was interrupted before identity.json was written. */
  readonly unfinished: boolean
}

/** The VM that a directory belongs to. Throws StateError. */
export async function readOwner(files: Pick<StateFiles, 'readText'>, layout: Layout, uid: VmUid): Promise<Owner> {
  const seen = await readIdentity(files, layout.identityFile(uid))
  const draft = seen.kind === 'absent' ? await readDraft(files, layout, uid) : undefined
  return draft === undefined ? { seen, unfinished: false } : { seen: { kind: 'known', identity: draft }, unfinished: true }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
