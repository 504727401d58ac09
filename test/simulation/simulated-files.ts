import { constants } from 'node:fs'
import { join } from 'node:path'
import type { DirectoryEntry, ExactStat, FileStat, Hinted, OpenFile, SourceFiles } from '../../src/adapters/directory/source-files.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { sleep } from '../../src/api/time.ts'

interface Common {
  readonly number: number
  changedMs: number
  name: string
  parent: DirectoryNode | undefined
}
export interface FileNode extends Common {
  readonly kind: 'file'
  bytes: Uint8Array
}
export interface DirectoryNode extends Common {
  readonly kind: 'directory'
  readonly entries: Map<string, Node>
}
interface LinkNode extends Common {
  readonly kind: 'link'
  readonly target: string
}
export type Node = FileNode | DirectoryNode | LinkNode

/** As the kernel's own, see path_resolution(7). */
const mostLinks = 40
/** A read may return fewer bytes than requested. */
const chunkBytes = 256
/** A directory without read permission may still be traversed. */
const unlisted = 'EACCES'
/** How long a call that waits for the disk or a file server takes. */
const callMs = 1
const descriptors = '/proc/self/fd/'
/** See statfs(2). */
const [tmpfs, nfs] = [0x01021994, 0x6969]

/** Files, directories and links in memory, with the errors of Linux. They outlive every controller. */
export class SimulatedFiles {
  /** Calls do not wait for another machine. */
  isLocal = true
  /** The paths that fail, with the code of the error. */
  readonly failing = new Map<Node, string>()
  /** A hint is passed on unless this says no. */
  hints: () => boolean = () => true
  /** Called before each open that takes time: others may act during a read. */
  beforeOpen: (path: string) => void = () => {}
  readonly root: DirectoryNode
  readonly #now: () => number
  readonly #open = new Map<number, Node>()
  readonly #watchers = new Set<(what: Hinted) => void>()
  #numbers = 0

  constructor(now: () => number) {
    this.#now = now
    this.root = this.directory()
  }

  directory(): DirectoryNode {
    return { kind: 'directory', entries: new Map(), ...this.#common() }
  }

  file(bytes: Uint8Array): FileNode {
    return { kind: 'file', bytes, ...this.#common() }
  }

  link(target: string): LinkNode {
    return { kind: 'link', target, ...this.#common() }
  }

  /** The directory with this path below another one, made where it is missing. */
  directoryAt(from: DirectoryNode, path: readonly string[]): DirectoryNode {
    let at = from
    for (const name of path) {
      const next = at.entries.get(name) ?? this.directory()
      if (next.kind !== 'directory') throw errno('ENOTDIR', name)
      if (next.parent === undefined) this.put(at, name, next)
      at = next
    }
    return at
  }

  /** As rename(2): what had the name before has none any more. */
  put(directory: DirectoryNode, name: string, node: Node): void {
    this.remove(directory, name)
    Object.assign(node, { name, parent: directory })
    directory.entries.set(name, node)
    directory.changedMs = this.#now()
  }

  remove(directory: DirectoryNode, name: string): void {
    const before = directory.entries.get(name)
    if (before === undefined) return
    before.parent = undefined
    directory.entries.delete(name)
    directory.changedMs = this.#now()
  }

  /** In place: readers that have it open see the new content. */
  write(file: FileNode, bytes: Uint8Array): void {
    file.bytes = bytes
    file.changedMs = this.#now()
  }

  hint(what: Hinted): void {
    if (this.hints()) for (const tell of this.#watchers) tell(what)
  }

  pathOf(node: Node): string {
    if (node === this.root) return '/'
    return node.parent === undefined ? `/${node.name} (deleted)` : join(this.pathOf(node.parent), node.name)
  }

  /** For one controller: what it waits for never comes when it is dead. */
  portFor(clock: Clock): SourceFiles {
    const late = async <Answer>(path: string, call: () => Answer): Promise<Answer> => {
      await sleep(clock, callMs)
      this.beforeOpen(path)
      return call()
    }
    return {
      clock,
      nextTurn: async () => undefined,
      open: (path, flags) => late(path, () => this.#openFile(clock, path, flags)),
      lstat: async (path) => this.#statOf(this.#find(path, false)),
      stat: async (path) => this.#statOf(this.#find(path)),
      exactStat: async (path) => this.#exactStatOf(this.#find(path)),
      statfs: async (path) => (this.#find(path), { type: this.isLocal ? tmpfs : nfs }),
      readlink: async (path) => this.#readlink(path),
      realpath: async (path) => this.pathOf(this.#find(path)),
      readdir: async (path) => this.#readdir(path),
      openSync: (path, flags) => this.#openSync(path, flags),
      closeSync: (fd) => void this.#open.delete(fd),
      fstatSync: (fd) => this.#statOf(this.#opened(fd)),
      readSync: (fd, buffer, offset, length, position) => this.#read(fd, buffer, offset, length, position),
      statSync: (path) => this.#ifThere(() => this.#statOf(this.#find(path))),
      exactStatSync: (path) => this.#ifThere(() => this.#exactStatOf(this.#find(path))),
      readlinkSync: (path) => this.#readlink(path),
      realpathSync: (path) => this.pathOf(this.#find(path)),
      watch: (_options, onHint) => {
        this.#watchers.add(onHint)
        return () => void this.#watchers.delete(onHint)
      },
    }
  }

  #common(): Common {
    this.#numbers += 1
    return { number: this.#numbers, changedMs: this.#now(), name: '', parent: undefined }
  }

  #find(path: string, followsLast = true): Node {
    let at: Node = this.root
    let ahead = namesIn(path)
    for (let name = ahead.shift(), links = 0; name !== undefined; name = ahead.shift()) {
      if (at.kind !== 'directory') throw errno('ENOTDIR', path)
      const next: Node | undefined = name === '..' ? (at.parent ?? this.root) : at.entries.get(name)
      if (next === undefined) throw errno('ENOENT', path)
      const failure = this.failing.get(next)
      if (failure !== undefined && failure !== unlisted) throw errno(failure, path)
      if (next.kind !== 'link' || (ahead.length === 0 && !followsLast)) {
        at = next
        continue
      }
      links += 1
      if (links > mostLinks) throw errno('ELOOP', path)
      ahead = [...namesIn(next.target), ...ahead]
      if (next.target.startsWith('/')) at = this.root
    }
    return at
  }

  #openSync(path: string, flags: number): number {
    const node = this.#find(path, (flags & constants.O_NOFOLLOW) === 0)
    if (node.kind === 'link') throw errno('ELOOP', path)
    if (this.failing.has(node)) throw errno(unlisted, path)
    if ((flags & constants.O_DIRECTORY) !== 0 && node.kind !== 'directory') throw errno('ENOTDIR', path)
    this.#numbers += 1
    this.#open.set(this.#numbers, node)
    return this.#numbers
  }

  #openFile(clock: Clock, path: string, flags: number): OpenFile {
    const fd = this.#openSync(path, flags)
    return {
      fd,
      stat: async () => this.#statOf(this.#opened(fd)),
      read: async (buffer, offset, length, position) => {
        await sleep(clock, callMs)
        return { bytesRead: this.#read(fd, buffer, offset, length, position) }
      },
      close: async () => void this.#open.delete(fd),
    }
  }

  #opened(fd: number): Node {
    const node = this.#open.get(fd)
    if (node === undefined) throw errno('EBADF', String(fd))
    return node
  }

  #read(fd: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
    const node = this.#opened(fd)
    if (node.kind !== 'file') throw errno('EISDIR', String(fd))
    const bytes = node.bytes.subarray(position, position + Math.min(length, chunkBytes))
    buffer.set(bytes, offset)
    return bytes.length
  }

  #readlink(path: string): string {
    if (path.startsWith(descriptors)) return this.pathOf(this.#opened(Number(path.slice(descriptors.length))))
    const node = this.#find(path, false)
    if (node.kind !== 'link') throw errno('EINVAL', path)
    return node.target
  }

  #readdir(path: string): readonly DirectoryEntry[] {
    const node = path.startsWith(descriptors) ? this.#opened(Number(path.slice(descriptors.length))) : this.#find(path)
    if (node.kind !== 'directory') throw errno('ENOTDIR', path)
    return [...node.entries].map(([name, one]) => ({ name, ...kindOf(one) }))
  }

  #statOf(node: Node): FileStat {
    return { dev: 1, ino: node.number, size: sizeOf(node), ctimeMs: node.changedMs, ...kindOf(node) }
  }

  #exactStatOf(node: Node): ExactStat {
    const [changedMs, ns] = [BigInt(node.changedMs), 1_000_000n]
    const times = { ctimeMs: changedMs, ctimeNs: changedMs * ns, mtimeNs: changedMs * ns }
    return { dev: 1n, ino: BigInt(node.number), size: BigInt(sizeOf(node)), ...times, ...kindOf(node) }
  }

  #ifThere<Found>(find: () => Found): Found | undefined {
    try {
      return find()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }
}

function namesIn(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.')
}

function sizeOf(node: Node): number {
  return node.kind === 'file' ? node.bytes.length : 0
}

function kindOf({ kind }: Node): Omit<DirectoryEntry, 'name'> {
  return { isFile: () => kind === 'file', isDirectory: () => kind === 'directory', isSymbolicLink: () => kind === 'link' }
}

/** Without a stack, which would cost more than all the rest: a reader asks for many names that are not there. */
function errno(code: string, path: string): Error {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  const error = Object.assign(new Error(`${code}: ${path}`), { code })
  Error.stackTraceLimit = stackTraceLimit
  return error
}
