/** The current leader, and managers that cannot reach each other. */
import type { Lab, NodeName } from '../../lab/lab.ts'
import { until } from '../../lab/run.ts'

export async function leader(lab: Lab): Promise<NodeName> {
  const listed = await lab.mustDocker('n1', ['node', 'ls', '--format', '{{.Hostname}} {{.ManagerStatus}}'])
  const found = lab.nodes.find((node) => listed.split('\n').includes(`${node.name} Leader`))
  if (found === undefined) throw new Error(`no leader in:\n${listed}`)
  return found.name
}

/** A manager whose dockerd is killed leads no more. Before anything runs there that must not be restarted. */
export async function leadElsewhere(lab: Lab): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) {
    if ((await leader(lab)) !== 'n1') return
    await lab.killDockerd('n1')
    await until(
      'another leader',
      60_000,
      async () => ((await lab.docker('n2', ['node', 'ls', '--quiet'], { timeoutMs: 20_000 })).code === 0 ? true : undefined),
      200,
    )
    await lab.startDockerd('n1')
    await allBack(lab)
  }
  throw new Error('n1 leads again and again')
}

export async function allBack(lab: Lab): Promise<void> {
  const ready = (): Promise<true | undefined> =>
    lab.waitReady('n1', 'n2', 'n3').then(
      () => true,
      () => undefined,
    )
  await until('every manager to be there', 180_000, ready)
}

/** Both ways, between two managers. */
export async function cut(lab: Lab, from: NodeName, to: NodeName, how: 'cut' | 'mend'): Promise<void> {
  const flag = how === 'cut' ? '-I' : '-D'
  for (const [here, there] of [
    [from, to],
    [to, from],
  ] as const) {
    const done = await lab.exec(here, ['iptables', flag, 'INPUT', '-s', lab.node(there).managementIp, '-j', 'DROP'])
    if (done.code !== 0) throw new Error(done.stderr)
  }
}
