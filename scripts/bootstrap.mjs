// Plain JavaScript for any supported Node: installs the packages of package-lock.json, then runs a TypeScript program with the installed Node.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const [program, ...args] = process.argv.slice(2)
const node = join(root, 'node_modules', '.bin', 'node')
// Independent of npm and inside node_modules, so that an interrupted install is repeated.
const stamp = join(root, 'node_modules', '.swarmvirt-lock')
const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex')

if (!existsSync(node) || !existsSync(stamp) || readFileSync(stamp, 'utf8') !== lock) {
  process.stderr.write('installing npm packages (npm ci) …\n')
  const installed = spawnSync('npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2] })
  if (installed.status !== 0) {
    process.stderr.write('npm ci failed; its own message is above\n')
    process.exit(1)
  }
  writeFileSync(stamp, lock)
}

if (program !== undefined) {
  const child = spawn(node, [join(root, program), ...args], {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}:${process.env.PATH}` },
  })
  // The program handles its own end. Ctrl-C reaches it from the terminal, and this process forwards other signals.
  process.on('SIGINT', () => undefined)
  for (const name of ['SIGTERM', 'SIGHUP']) process.on(name, () => child.kill(name))
  // npm starts this through a shell, which ends on a signal without forwarding it.
  const parent = process.ppid
  setInterval(() => process.ppid === parent || child.kill('SIGTERM'), 500).unref()
  child.once('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
}
