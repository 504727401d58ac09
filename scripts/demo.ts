// `npm run demo`: a three-node Swarm, a manifest, and a VM that is reached over L2. `npm run demo -- down` removes everything.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readyChecks } from '../src/api/conditions.ts'
import { deterministicMac } from '../src/api/mac.ts'
import { vmNameField } from '../src/api/names.ts'
import type { VmView } from '../src/api/wire/controller-api.ts'
import { messageOf } from '../src/api/error-message.ts'
import { clusterName, type Deployment, deploy } from '../test/lab/deployment.ts'
import { type Lab, labUp } from '../test/lab/lab.ts'
import { layoutFromEnv } from '../test/lab/layout.ts'
import { prepareOperator } from '../test/lab/operator.ts'
import { runAttached } from '../test/lab/run.ts'
import { programNamed } from './program.ts'

const repository = join(import.meta.dirname, '..')
const vmName = vmNameField.parse('hello')
const reservedAddress = '192.168.50.42'
const deadlineMs = 240_000

const started = performance.now()
function report(line: string): void {
  process.stderr.write(`[${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s] ${line}\n`)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** The first condition that is not true, with its message. */
function waitingFor(vm: VmView | undefined): string {
  if (vm === undefined) return 'the controller to answer and see the manifest'
  const checks = readyChecks.map((type) => vm.conditions.find((one) => one.type === type))
  const first = checks.find((one) => one?.status !== 'True')
  return first === undefined ? 'Ready' : `${first.type}: ${first.reason}${first.message === '' ? '' : ` (${first.message})`}`
}

function isReady(vm: VmView | undefined): vm is VmView {
  return vm?.conditions.some((one) => one.type === 'Ready' && one.status === 'True') ?? false
}

async function waitUntilReady(deployment: Deployment): Promise<VmView> {
  const end = performance.now() + deadlineMs
  let said = ''
  for (;;) {
    const vm = await deployment.vm(vmName)
    if (isReady(vm)) return vm
    const now = waitingFor(vm)
    if (now !== said) report(`waiting for ${now}`)
    said = now
    if (performance.now() > end) throw new Error(`${vmName} is not Ready after ${deadlineMs / 1000} s; it waits for ${now}`)
    await pause(500)
  }
}

/** The final proof: another node fetches the guest's page over br0. */
async function askFromAnotherNode(lab: Lab, vm: VmView): Promise<string> {
  const other = lab.nodes.find((node) => node.name !== vm.facts['node'])
  if (other === undefined) throw new Error('the lab has only one node')
  const answer = await lab.httpGet(other.name, `http://${vm.facts['ip']}/`)
  if (answer.status !== 200 || !answer.body.includes(vmName)) throw new Error(`unexpected page of the guest: ${answer.body}`)
  return `${other.name} asked http://${vm.facts['ip']}/ over br0: ${answer.body.trim().split('\n')[0]}`
}

function table(vm: VmView): string {
  const row = (name: string, value: string | undefined): string => `  ${name.padEnd(14)}${value ?? '-'}`
  const steps = Object.entries(vm.timeline).map(([step, ms]) => `${step} ${(ms / 1000).toFixed(1)}`)
  return [
    row('NAME', vm.name),
    row('STATUS', vm.phase),
    row('NODE', vm.facts['node']),
    row('ACCELERATOR', vm.facts['accelerator']),
    row('MAC', vm.facts['mac']),
    row('IP', vm.facts['ip']),
    row('SECONDS', steps.join(', ')),
  ].join('\n')
}

async function up(): Promise<void> {
  report('bringing up the lab: three Swarm nodes, a LAN with DHCP (the first time builds images, some minutes)')
  const lab = await labUp()
  await lab.reserve(deterministicMac(clusterName, vmName, 'lan'), reservedAddress)
  // The operator's default. The lab's own tests use a shorter one.
  const stack = { files: ['deploy/stack.yaml'], env: { SWARMVIRT_REMOVAL_GRACE_S: '60' } }
  const deployment = await deploy(lab, lab.images, report, stack)
  report(`writing manifests/${vmName}.yaml into the watched directory`)
  deployment.writeManifest(`${vmName}.yaml`, readFileSync(join(repository, 'manifests', `${vmName}.yaml`), 'utf8'))
  const vm = await waitUntilReady(deployment)
  const proof = await askFromAnotherNode(lab, vm)
  await prepareOperator(layoutFromEnv(process.env), deployment.token)
  process.stdout.write(`\n${table(vm)}\n\n${proof}\n\nTry next:\n${nextSteps(deployment)}`)
}

function nextSteps({ manifests }: Deployment): string {
  const steps = [
    ['npm run -s lab -- vm ls', '"docker vm", logged in to this Swarm'],
    [`npm run -s lab -- vm describe ${vmName}`, 'what the controller knows about the VM'],
    [`npm run -s lab -- docker n1 service logs vm-${vmName}`, "the guest's console"],
    [`npm run -s lab -- docker n1 service rm vm-${vmName}`, 'the VM comes back, with the same disk, MAC and address'],
    [`$EDITOR ${manifests}/${vmName}.yaml`, `"runStrategy: Halted" shuts the guest down`],
    [`rm ${manifests}/${vmName}.yaml`, 'after 60 s the VM is removed; its disk stays'],
    ['npm run demo -- down', 'remove all of it'],
  ]
  return steps.map(([command = '', what]) => `  ${command.padEnd(58)} # ${what}\n`).join('')
}

const program = programNamed('npm run demo --', 'A Swarm of three nodes, a manifest, and a VM that is reached over L2.')
program.action(up)
program
  .command('down')
  .description('remove everything')
  .action(async () => {
    process.exitCode = await runAttached([process.execPath, join(repository, 'test/lab/main.ts'), 'down'])
  })

program.parseAsync().catch((error: unknown) => {
  report(messageOf(error))
  process.exitCode = 1
})
