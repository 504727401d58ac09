/** Objects that are not ours but have names that ours could have. */
import type { Deployment } from '../../lab/deployment.ts'

const names = { service: 'vm-foreign', config: 'sv-vm-foreign', secret: 'sv-foreign' }

export async function plantForeign({ lab }: Deployment): Promise<void> {
  const { service, config, secret } = names
  await lab.mustDocker('n1', ['config', 'create', config, '-'], { input: 'nobody’s' })
  await lab.mustDocker('n1', ['secret', 'create', secret, '-'], { input: 'nobody’s' })
  const how = ['--detach', '--quiet', '--no-resolve-image', '--replicas', '0', '--name', service]
  await lab.mustDocker('n1', ['service', 'create', ...how, lab.images[0] ?? ''])
  await lab.mustDocker('n1', ['node', 'update', '--label-add', 'foreign=yes', 'n2'])
}

export async function clearForeign({ lab }: Deployment): Promise<void> {
  const { service, config, secret } = names
  await lab.mustDocker('n1', ['service', 'rm', service])
  await lab.mustDocker('n1', ['config', 'rm', config])
  await lab.mustDocker('n1', ['secret', 'rm', secret])
  await lab.mustDocker('n1', ['node', 'update', '--label-rm', 'foreign', 'n2'])
}
