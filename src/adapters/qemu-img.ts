import { execFile } from 'node:child_process'
import * as z from 'zod'
import { PortError } from '../ports/errors.ts'
import type { ImageInfo, ImageTool } from '../ports/image-tool.ts'

/**
 * An image is untrusted: one can be made that has qemu-img allocate for ever (CVE-2015-5162). Ordinary images of any size need a second and 100 MB.
 */
const limits = ['--as=1073741824', '--cpu=30', '--core=0']
const timeoutMs = 60_000
const maxOutputBytes = 1024 * 1024

const infoOutput = z.object({
  format: z.literal('qcow2'),
  'virtual-size': z.int(),
  'backing-filename': z.string().optional(),
  encrypted: z.boolean().optional(),
  'format-specific': z.object({ data: z.object({ 'data-file': z.string().optional() }) }).optional(),
})

export interface QemuImgOptions {
  /** Path or name of qemu-img. */
  readonly program: string
}

export function qemuImg(options: QemuImgOptions): ImageTool {
  const run = (args: readonly string[], signal?: AbortSignal) => runLimited(options.program, args, signal)
  return {
    async info(path, signal) {
      return readInfo(await run(['info', '--output=json', '-f', 'qcow2', '--', path], signal))
    },
    async createOverlay(path, backing, sizeBytes, signal) {
      await run(['create', '-q', '-f', 'qcow2', '-b', backing, '-F', 'qcow2', '--', path, String(sizeBytes)], signal)
    },
  }
}

function readInfo(output: string): ImageInfo {
  const parsed = infoOutput.safeParse(JSON.parse(output))
  if (!parsed.success) throw new PortError('Invalid', `qemu-img says nothing about it that makes sense: ${parsed.error.issues[0]?.message}`)
  return {
    virtualSizeBytes: parsed.data['virtual-size'],
    backingFile: parsed.data['backing-filename'],
    dataFile: parsed.data['format-specific']?.data['data-file'],
    encrypted: parsed.data.encrypted ?? false,
  }
}

function runLimited(program: string, args: readonly string[], signal?: AbortSignal): Promise<string> {
  const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: maxOutputBytes, env: {}, ...(signal ? { signal } : {}) } as const
  return new Promise((resolve, reject) => {
    execFile('/usr/bin/prlimit', [...limits, program, ...args], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      const said = stderr.trim().split('\n').slice(-3).join(' ').slice(0, 500)
      if (typeof error.code === 'number')
        return reject(new PortError('Invalid', said || `qemu-img ended with code ${error.code}`, { cause: error }))
      reject(new PortError('Unavailable', `qemu-img could not do its work: ${said || error.message}`, { cause: error }))
    })
  })
}
