import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { selfSignedCertificate } from '../../src/adapters/controller-api/certificate.ts'
import { until } from '../lab/run.ts'
import { type Overlay, overlayIn } from './directory/overlay.ts'

const program = join(import.meta.dirname, '../../src/controller/main.ts')

let root: string
let overlay: Overlay
let controller: ChildProcess | undefined
let log = ''

/** The real program with no Docker to talk to, and manifests whose edits it hears nothing of for an hour. */
async function start(): Promise<void> {
  const { keyPem, certificatePem } = await selfSignedCertificate('swarmvirt', new Date())
  const files = {
    'control-key': `k1:${'0'.repeat(64)}\n`,
    'api-key': keyPem,
    'api-cert': certificatePem,
    'api-token': 'a token of a test, long enough\n',
  }
  for (const [file, text] of Object.entries(files)) writeFileSync(join(root, file), text)
  const paths = Object.keys(files).flatMap((file) => [`--${file}-file`, join(root, file)])
  const settings = [
    '--cluster',
    'test',
    '--runner-image',
    'none',
    '--docker',
    `unix://${join(root, 'no.sock')}`,
    '--resync-s',
    '3600',
    '--sources',
    'directory',
  ]
  const ports = ['--api-port', '19471', '--metrics-port', '19470']
  const command = [...overlay.starter, process.execPath, program, ...settings, ...ports, '--manifests', overlay.merged, ...paths]
  log = ''
  const child = spawn(command[0] ?? '', command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  controller = child
  child.stdout.on('data', (chunk: Buffer) => (log += chunk.toString('utf8')))
  await logged('VM002 team/web.yaml:2')
}

function logged(text: string): Promise<true> {
  return until(`"${text}" in the log`, 20_000, async () => (log.includes(text) ? true : undefined))
}

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'sv-reload-')))
  overlay = overlayIn(root)
  writeFileSync(join(overlay.beneath, 'team/web.yaml'), 'a: [\n')
})
afterEach(() => {
  controller?.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

describe('SIGHUP to the controller', () => {
  it('has the manifests read, and ends nothing', async () => {
    await start()
    writeFileSync(join(overlay.beneath, 'team/web.yaml'), '\n\n\na: [\n')
    await sleep(2_000)
    expect(log).not.toContain('VM002 team/web.yaml:5')
    controller?.kill('SIGHUP')
    await logged('VM002 team/web.yaml:5')
    expect([controller?.exitCode, controller?.signalCode]).toEqual([null, null])
  })
})
