/**
 * An agent with everything real but QEMU's probe and descriptors, for tests that kill it or run it as another user:
 * `node program.ts STATE_ROOT KEY_FILE` prints its port.
 */
import { readFileSync } from 'node:fs'
import { layout } from '../../../src/api/layout.ts'
import { parseControlKeys } from '../../../src/api/control-key.ts'
import { startTestAgent } from './harness.ts'

process.umask(0o007)
const [root = '', keyFile = ''] = process.argv.slice(2)
const keys = parseControlKeys(readFileSync(keyFile, 'utf8'))
if (!keys.ok) throw new Error(keys.message)
const listener = await startTestAgent({ layout: layout(root), keys: keys.keys, signal: new AbortController().signal })
process.stdout.write(`${listener.port}\n`)
