/**
 * Builds the layers that need the network. The nodes have no way out, so a Docker of its own does it: in the machine's
 * network, without a bridge and without touching iptables or forwarding, in a mount namespace that hides the machine's
 * own containerd.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CachedImage, loadArchive } from './cached-image.ts'
import { removeBuilder } from './clear.ts'
import { inHolder, startDaemon, startHolder } from './daemons.ts'
import { dockerArgv, dockerdArgv, dockerEnv, mustDocker, waitForDockerd } from './engine.ts'
import type { LabLayout } from './layout.ts'
import { pipeCommands } from './pipe.ts'

type Layer = { readonly base: CachedImage; readonly reference: string; readonly recipe: string; readonly archive: string }

async function startBuilder(layout: LabLayout, dir: string): Promise<string> {
  await startHolder(layout, 'builder', layout.builderCgroup, dir)
  writeFileSync(join(dir, 'daemon.json'), '{}\n')
  const argv = [
    ...dockerdArgv(join(dir, 'data'), join(dir, 'daemon.json'), layout.builderCgroup),
    '--bridge=none',
    '--iptables=false',
    '--ip-forward=false',
    '--ip-masq=false',
  ]
  startDaemon(layout, { job: 'builder.dockerd', cgroup: `${layout.builderCgroup}/host`, argv: inHolder(layout, 'builder', argv) })
  const socket = join(dir, 'run', 'docker.sock')
  await waitForDockerd(layout, 'builder.dockerd', socket)
  return socket
}

/** A proxy that this machine needs, handed to the build, where it ends up in no layer. */
function proxyArgs(env: NodeJS.ProcessEnv): string[] {
  return ['http_proxy', 'https_proxy', 'no_proxy'].flatMap((name) =>
    env[name] === undefined ? [] : ['--build-arg', `${name}=${env[name]}`],
  )
}

export async function buildLayer(layout: LabLayout, layer: Layer): Promise<void> {
  try {
    const socket = await startBuilder(layout, join(layout.dir, 'builder'))
    await loadArchive(layout, socket, layer.base.archive)
    const args = [
      'build',
      '--network',
      'host',
      ...proxyArgs(process.env),
      '--build-arg',
      `BASE_IMAGE=${layer.base.reference}`,
      '-t',
      layer.reference,
      '-',
    ]
    await mustDocker(layout, socket, args, { input: layer.recipe })
    const save = { argv: dockerArgv(socket, ['save', layer.reference]), env: dockerEnv(layout) }
    await pipeCommands([save, { argv: ['zstd', '-q', '-f', '-3', '-T0', '-', '-o', layer.archive] }])
  } finally {
    await removeBuilder(layout)
  }
}
