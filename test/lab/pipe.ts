import { type ChildProcess, spawn } from 'node:child_process'
import { pipeline } from 'node:stream/promises'

export type Stage = { readonly argv: readonly string[]; readonly env?: NodeJS.ProcessEnv }

function ended(child: ChildProcess, stage: Stage): Promise<void> {
  let words = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    words += chunk.toString()
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`${stage.argv.join(' ')}: exit ${code}\n${words.trim()}`))
    })
  })
}

/** Runs commands with the output of each as input of the next, as a shell's `|` does. @throws when any of them fails. */
export async function pipeCommands(stages: readonly Stage[]): Promise<void> {
  const children = stages.map((stage, index) => {
    const [command = '', ...args] = stage.argv
    const last = index === stages.length - 1
    return spawn(command, args, {
      stdio: ['pipe', last ? 'ignore' : 'pipe', 'pipe'],
      ...(stage.env === undefined ? {} : { env: stage.env }),
    })
  })
  const ends = children.map((child, index) => ended(child, stages[index] ?? { argv: [] }))
  children[0]?.stdin?.end()
  const flows = children.slice(1).map((child, index) => {
    const from = children[index]?.stdout
    if (from === null || from === undefined || child.stdin === null) throw new Error('a stage without a pipe')
    // A broken pipe is reported by the exit code of the command that broke it.
    return pipeline(from, child.stdin).catch(() => undefined)
  })
  await Promise.all([...ends, ...flows])
}
