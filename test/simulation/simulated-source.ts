import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { manifestDirectory } from '../../src/adapters/directory/manifest-directory.ts'
import { manifestConfigs } from '../../src/adapters/manifest/manifest-configs.ts'
import { manifestReader, type ReadManifest } from '../../src/adapters/manifest/manifest-yaml.ts'
import { manifestLabels } from '../../src/api/labels.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { PortError } from '../../src/ports/errors.ts'
import type { ManifestSource } from '../../src/ports/manifest-source.ts'
import type { Swarm } from '../../src/ports/swarm.ts'
import { type DirectoryNode, type FileNode, type Node, SimulatedFiles } from './simulated-files.ts'
import type { SimulatedSwarm } from './simulated-swarm.ts'

/** The manifests that a user wrote. */
interface Written {
  readonly text: string
  /** Undefined where it names no VM. */
  readonly name: string | undefined
}

/** The source of a controller. */
export interface ReaderPorts {
  readonly swarm: Pick<Swarm, 'listConfigs'>
  /** Stops when the controller dies. */
  readonly clock: Clock
}

/** Where people write manifests, and the real reader of it. */
export interface SimulatedSource {
  /** By file, as people wrote them. */
  readonly files: ReadonlyMap<string, Written>
  /** Why it cannot be read, with an error code in front; empty while it can. */
  readonly unreadable: string
  put(file: string, written: Written): void
  remove(file: string): void
  fail(message: string): void
  /** For one life of a controller. */
  reader(ports: ReaderPorts): ManifestSource
}

const encoder = new TextEncoder()
const path = '/manifests'
const base = path.slice(1)

/** A directory of manifests that is mounted at `/manifests`. */
export class SimulatedDirectory implements SimulatedSource {
  readonly files = new Map<string, Written>()
  readonly tree: SimulatedFiles
  unreadable = ''
  #mounted: DirectoryNode
  /** The worktrees of git-sync; undefined where the directory is written itself. */
  #worktrees: DirectoryNode | undefined

  constructor(now: () => number) {
    this.tree = new SimulatedFiles(now)
    this.#mounted = this.tree.directory()
    this.tree.put(this.tree.root, base, this.#mounted)
  }

  put(file: string, written: Written): void {
    const isKnown = this.files.has(file)
    this.files.set(file, written)
    if (this.#worktrees !== undefined) return this.#swap()
    const node = this.#write(file, written)
    this.tree.hint(isKnown ? { file: this.tree.pathOf(node) } : 'anything')
  }

  remove(file: string): void {
    this.files.delete(file)
    if (this.#worktrees !== undefined) return this.#swap()
    this.tree.remove(this.#directoryOf(file), basename(file))
    this.#failAgain()
    this.tree.hint('anything')
  }

  /** An editor that writes in place has written the beginning of a file that is there. */
  putBeginning(file: string, text: string): void {
    const node = this.#directoryOf(file).entries.get(basename(file)) as FileNode
    this.tree.write(node, encoder.encode(text))
    this.tree.hint({ file: this.tree.pathOf(node) })
  }

  /** ENOENT is of the whole directory, EACCES of the listing of a directory in it, and any other of every second file. */
  fail(message: string): void {
    this.unreadable = message
    this.#failAgain()
    this.tree.hint('anything')
  }

  /** The mount is gone, and below it is an empty directory. */
  unmount(): void {
    this.tree.put(this.tree.root, base, this.tree.directory())
    this.tree.hint('anything')
  }

  mount(): void {
    this.tree.put(this.tree.root, base, this.#mounted)
    this.tree.hint('anything')
  }

  /** From now on git-sync brings every change as a worktree of its own, to which it swaps its link. */
  sync(): void {
    const git = this.tree.directory()
    this.#worktrees = this.tree.directory()
    this.tree.put(this.tree.root, 'git', git)
    this.tree.put(git, '.worktrees', this.#worktrees)
    this.#swap()
  }

  reader({ clock }: ReaderPorts): ManifestSource {
    return manifestDirectory({ path, watchPolling: false, files: this.tree.portFor(clock), readText: readOnce })
  }

  /** Also after each change: it is never by a change of the files that they can be read again. */
  #failAgain(): void {
    this.tree.failing.clear()
    const code = this.unreadable.split(':')[0] ?? ''
    if (code !== '') for (const one of this.#toFail(code)) this.tree.failing.set(one, code)
  }

  #toFail(code: string): readonly Node[] {
    const entries = [...this.#mounted.entries.values()]
    const failing = entries.filter((one, index) => (code === 'EACCES' ? one.kind === 'directory' : index % 2 === 0))
    return code === 'ENOENT' || failing.length === 0 ? [this.#mounted] : failing
  }

  #directoryOf(file: string): DirectoryNode {
    return this.tree.directoryAt(this.#mounted, file.split('/').slice(0, -1))
  }

  #write(file: string, { text }: Written): FileNode {
    const node = this.tree.file(encoder.encode(text))
    this.tree.put(this.#directoryOf(file), basename(file), node)
    this.#failAgain()
    return node
  }

  #swap(): void {
    const { tree } = this
    const [worktrees, before] = [this.#worktrees as DirectoryNode, this.#mounted]
    this.#mounted = tree.directory()
    for (const [file, written] of this.files) this.#write(file, written)
    const commit = createHash('sha1').update(String(this.#mounted.number)).digest('hex')
    tree.put(worktrees, commit, this.#mounted)
    tree.put(tree.root, base, tree.link(`git/.worktrees/${commit}`))
    tree.remove(worktrees, before.name)
    tree.hint('anything')
  }
}

/** Swarm configs with manifests. An edit is one more config; what is deleted is deleted with all that it was before. */
export class SimulatedConfigs implements SimulatedSource {
  readonly files = new Map<string, Written>()
  unreadable = ''
  readonly #swarm: SimulatedSwarm
  readonly #foreign: Map<string, string>
  readonly #isForeign: (id: string) => void
  readonly #made = new Map<string, string[]>()
  #last = 0

  constructor(swarm: SimulatedSwarm, foreign: Map<string, string>, isForeign: (id: string) => void) {
    this.#swarm = swarm
    this.#foreign = foreign
    this.#isForeign = isForeign
  }

  put(file: string, written: Written): void {
    this.files.set(file, written)
    this.#last += 1
    const name = `${file}-${this.#last}`
    void this.#swarm.createConfig(name, { [manifestLabels.manifest]: 'true' }, encoder.encode(written.text))
    const id = this.#swarm.config(name)?.id ?? ''
    this.#made.set(file, [...(this.#made.get(file) ?? []), id])
    this.#isForeign(id)
  }

  remove(file: string): void {
    this.files.delete(file)
    for (const id of this.#made.get(file) ?? []) {
      this.#foreign.delete(id)
      void this.#swarm.removeConfig(id)
    }
    this.#made.delete(file)
  }

  fail(message: string): void {
    this.unreadable = message
  }

  reader({ swarm }: ReaderPorts): ManifestSource {
    const readable: ReaderPorts['swarm'] = {
      listConfigs: async (label, signal) => {
        if (this.unreadable !== '') throw new PortError('Unavailable', this.unreadable)
        return swarm.listConfigs(label, signal)
      },
    }
    return manifestConfigs(readable, readOnce)
  }
}

const parse = manifestReader()
const parsed = new Map<string, ReturnType<ReadManifest>>()

/** The same text says the same in every run, and is parsed once. */
const readOnce: ReadManifest = (source, file, bytes) => {
  const key = `${source} ${file} ${new TextDecoder().decode(bytes)}`
  const known = parsed.get(key) ?? parse(source, file, bytes)
  parsed.set(key, known)
  return known
}
