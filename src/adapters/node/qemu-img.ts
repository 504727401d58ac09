import { execFile } from 'node:child_process'
import * as z from 'zod/mini'
import { PortError } from '../../ports/errors.ts'
import type { ImageInfo, ImageTool } from '../../ports/image-tool.ts'

/** An image is untrusted: it can make qemu-img allocate memory forever (CVE-2015-5162). Normal images of any size need a second and 100 MB. */
const limits = ['--as=1073741824', '--cpu=30', '--core=0']
const timeoutMs = 60_000
/** A check reads all metadata: 13 MB for each 100 GiB, possibly from a slow disk. */
const checkTimeoutMs = 300_000
const maxOutputBytes = 1024 * 1024
/** A truncated image has one error for each missing cluster. */
const tooMuchOutput = 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER'
/** Exit code of `qemu-img check` for an intact image with leaked clusters. */
const leaksOnly = 3

/** Exit codes of prlimit and the loader: qemu-img itself did not run. */
const didNotRun = [126, 127]
/**
 * strerror(3) messages for problems of the node, which qemu-img prints with exit code 1. The agent retries these. Retrying a bad image does less harm
 * than never retrying a good one.
 */
const faultsOfNode = [
  'Input/output error',
  'Cannot allocate memory',
  'Permission denied',
  'Operation not permitted',
  'Too many open files',
  'No space left on device',
  'Disk quota exceeded',
  'Read-only file system',
  'No such file or directory',
  'Stale file handle',
  'Resource temporarily unavailable',
  'Device or resource busy',
]

const infoOutput = z.object({
  format: z.literal('qcow2'),
  'virtual-size': z.int(),
  'backing-filename': z.optional(z.string()),
  encrypted: z.optional(z.boolean()),
  'format-specific': z.optional(z.object({ data: z.object({ 'data-file': z.optional(z.string()) }) })),
})

export interface QemuImgOptions {
  /** Path or name of qemu-img. */
  readonly program: string
}

export function qemuImg(options: QemuImgOptions): ImageTool {
  const run = (args: readonly string[], signal?: AbortSignal) => runLimited({ program: options.program, args, timeoutMs }, signal)
  return {
    async info(path, signal) {
      return readInfo(await run(['info', '--output=json', '-f', 'qcow2', '--', path], signal))
    },
    async check(path, signal) {
      const args = ['check', '-q', '-f', 'qcow2', '--', path]
      await runLimited({ program: options.program, args, timeoutMs: checkTimeoutMs, fine: leaksOnly }, signal)
    },
    async createDisk(path, backing, sizeBytes, signal) {
      const over = backing === undefined ? [] : ['-b', backing.path, '-F', backing.format]
      await run(['create', '-q', '-f', 'qcow2', ...over, '--', path, String(sizeBytes)], signal)
    },
  }
}

function readInfo(output: string): ImageInfo {
  const parsed = infoOutput.safeParse(JSON.parse(output))
  if (!parsed.success) throw new PortError('Invalid', `its output is invalid: ${parsed.error.issues[0]?.message}`)
  return {
    virtualSizeBytes: parsed.data['virtual-size'],
    backingFile: parsed.data['backing-filename'],
    dataFile: parsed.data['format-specific']?.data['data-file'],
    encrypted: parsed.data.encrypted ?? false,
  }
}

interface LimitedRun {
  readonly program: string
  readonly args: readonly string[]
  readonly timeoutMs: number
  /** A nonzero exit code that is not an error. */
  readonly fine?: number
}

function runLimited({ program, args, timeoutMs, fine }: LimitedRun, signal?: AbortSignal): Promise<string> {
  const options = {
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: maxOutputBytes,
    env: {},
    ...(signal ? { signal } : {}),
  } as const
  return new Promise((resolve, reject) => {
    execFile('/usr/bin/prlimit', [...limits, program, ...args], options, (error, stdout, stderr) => {
      if (error === null || (fine !== undefined && error.code === fine)) return resolve(stdout)
      // The first lines have the cause.
      const said = stderr.trim().split('\n').slice(0, 3).join(' ').slice(0, 500)
      if (isOfImage(error.code, stderr))
        return reject(new PortError('Invalid', said || `qemu-img ended with code ${error.code}`, { cause: error }))
      reject(new PortError('Unavailable', `qemu-img did not finish: ${said || error.message}`, { cause: error }))
    })
  })
}

function isOfImage(code: unknown, stderr: string): boolean {
  if (typeof code !== 'number') return code === tooMuchOutput
  if (didNotRun.includes(code)) return false
  return code !== 1 || !faultsOfNode.some((fault) => stderr.includes(fault))
}
