/** A real Prometheus on n1, with the configuration that is shipped. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensurePackages } from '../lab/packages.ts'
import type { Lab } from '../lab/lab.ts'

export interface Prometheus {
  /** Value of the first series that the query gives. */
  query(text: string): Promise<string | undefined>
  stop(): void
}

/** The package has promtool as well. */
export function ensurePrometheus(): Promise<void> {
  return ensurePackages([{ file: '/usr/bin/prometheus', pkg: 'prometheus' }])
}

/** `edit` changes deploy/prometheus.yml as an operator would; it gets a directory for files of the configuration. */
export async function startPrometheus(
  lab: Lab,
  edit: (config: string, directory: string) => string = (config) => config,
): Promise<Prometheus> {
  await ensurePrometheus()
  const node = lab.node('n1')
  const directory = mkdtempSync(join(node.dir, 'prometheus-'))
  const shipped = (file: string) => readFileSync(join(import.meta.dirname, '../../deploy/prometheus', file), 'utf8')
  writeFileSync(join(directory, 'prometheus.yml'), edit(shipped('prometheus.yml').replaceAll('10s', '1s'), directory))
  writeFileSync(join(directory, 'rules.yml'), shipped('rules.yml'))
  // The test does not wait for the time that an alert must be pending.
  writeFileSync(join(directory, 'alerts.yml'), shipped('alerts.yml').replaceAll(/^ +for: .*\n/gm, ''))
  const address = `${node.managementIp}:9490`
  const files = [`--config.file=${directory}/prometheus.yml`, `--storage.tsdb.path=${directory}/data`]
  const child = lab.spawnIn('n1', ['prometheus', ...files, `--web.listen-address=${address}`], { stdio: 'ignore' })
  return {
    async query(text) {
      const answer = await lab.httpGet('mgmt', `http://${address}/api/v1/query?query=${encodeURIComponent(text)}`)
      const { data } = JSON.parse(answer.body) as { data: { result: { value: [number, string] }[] } }
      return data.result[0]?.value[1]
    },
    stop() {
      child.once('exit', () => rmSync(directory, { recursive: true, force: true }))
      child.kill('SIGKILL')
    },
  }
}
