/** As much of POSIX ustar as `docker load` needs: plain files with short names. */
import { createReadStream, statSync } from 'node:fs'
import type { Readable } from 'node:stream'

export type TarFile = { readonly name: string; readonly content: Buffer | { readonly path: string } }

function octal(value: number, width: number): string {
  return value.toString(8).padStart(width - 1, '0')
}

/** One header block. Sizes of 8 GiB and more do not fit and are refused. */
function tarHeader(name: string, size: number): Buffer {
  if (size >= 0o77777777777) throw new Error(`${name} is too large for a plain tar header`)
  const header = Buffer.alloc(512)
  header.write(name, 0, 100)
  header.write(octal(0o644, 8), 100)
  header.write(octal(0, 8), 108)
  header.write(octal(0, 8), 116)
  header.write(octal(size, 12), 124)
  header.write(octal(0, 12), 136)
  header.write('        ', 148)
  header.write('0', 156)
  header.write('ustar\u000000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${octal(sum, 7)}\0 `, 148)
  return header
}

function padding(size: number): Buffer {
  return Buffer.alloc((512 - (size % 512)) % 512)
}

export async function* tarStream(files: readonly TarFile[]): AsyncGenerator<Buffer> {
  for (const { name, content } of files) {
    const size = Buffer.isBuffer(content) ? content.length : statSync(content.path).size
    yield tarHeader(name, size)
    if (Buffer.isBuffer(content)) yield content
    else yield* createReadStream(content.path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>
    yield padding(size)
  }
  yield Buffer.alloc(1024)
}

type Parse = { readonly kind: 'header' } | { readonly kind: 'body'; readonly left: number; readonly keep: boolean }

/** A tar without the contents of the files for which `keep` says no: these are left out altogether. */
export async function* filterTar(source: Readable, keep: (name: string) => boolean): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0)
  let state: Parse = { kind: 'header' }
  for await (const chunk of source as AsyncIterable<Buffer>) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    for (;;) {
      if (state.kind === 'header') {
        if (held.length < 512) break
        const header = held.subarray(0, 512)
        held = held.subarray(512)
        const size = Number.parseInt(header.toString('latin1', 124, 136), 8) || 0
        const name = header.toString('latin1', 0, 100).replace(/\0.*$/s, '')
        const wanted = keep(name)
        if (wanted) yield header
        if (size > 0) state = { kind: 'body', left: size + padding(size).length, keep: wanted }
        continue
      }
      const taken: Buffer = held.subarray(0, state.left)
      if (taken.length === 0) break
      held = held.subarray(taken.length)
      if (state.keep) yield taken
      const left: number = state.left - taken.length
      state = left === 0 ? { kind: 'header' } : { kind: 'body', left, keep: state.keep }
    }
  }
}
