import { randomBytes } from 'node:crypto'
import { Command } from 'commander'
import { selfSignedCertificate } from '../adapters/certificate.ts'
import { dockerCli } from '../adapters/docker-cli.ts'
import { systemClock } from '../adapters/system-clock.ts'
import { release } from '../api/release.ts'
import { messageOf } from '../ports/errors.ts'
import { install, type InstallMaterial } from './install.ts'

const metadata = { SchemaVersion: '0.1.0', Vendor: 'swarmvirt', Version: release, ShortDescription: 'Virtual machines on Docker Swarm' }

async function material(): Promise<InstallMaterial> {
  const certificate = await selfSignedCertificate('swarmvirt', new Date(systemClock.now()))
  return {
    controlKey: `k1:${randomBytes(32).toString('hex')}\n`,
    apiKeyPem: certificate.keyPem,
    apiCertificatePem: certificate.certificatePem,
    fingerprint: certificate.fingerprint,
    apiToken: randomBytes(32).toString('base64url'),
  }
}

async function runInstall(options: { network: string; subnet: string; output: string }): Promise<void> {
  const result = await install(dockerCli(), material, { name: options.network, subnet: options.subnet })
  if (options.output === 'json') return void process.stdout.write(`${JSON.stringify(result)}\n`)
  for (const made of result.made) process.stdout.write(`made ${made}\n`)
  if (result.made.length === 0) process.stdout.write('everything is there already; nothing was changed\n')
  if (result.token !== undefined) {
    process.stdout.write(`\nAPI token (shown once, keep it): ${result.token}\nCertificate fingerprint (SHA-256): ${result.fingerprint}\n`)
  }
}

function program(): Command {
  const vm = new Command('vm').description(metadata.ShortDescription)
  vm.command('install')
    .description("make the Swarm secrets and the guests' overlay network; prints the API token once")
    .option('--network <name>', "the guests' overlay", 'swarmvirt-guests')
    .option('--subnet <cidr>', 'its subnet', '10.201.0.0/20')
    .option('--output <format>', 'text or json', 'text')
    .action(runInstall)
  vm.command('version')
    .description('print the version')
    .action(() => void process.stdout.write(`${release}\n`))
  return vm
}

async function main(argv: readonly string[]): Promise<void> {
  if (argv[0] === 'docker-cli-plugin-metadata') return void process.stdout.write(`${JSON.stringify(metadata)}\n`)
  // Docker calls a plugin as `docker-vm vm ARGS…`; a person calls `docker-vm ARGS…`.
  await program().parseAsync(argv[0] === 'vm' ? argv.slice(1) : [...argv], { from: 'user' })
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`error: ${messageOf(error)}\n`)
  process.exitCode = 1
})
