import { e2eLabName } from '../test/lab/layout.ts'

/** The suites of `npm test` and `npm run test:full`, in this order (docs/testing.md). */
export interface Suite {
  readonly name: string
  readonly what: string
  /** Maximum duration on two idle cores. `--minutes` uses it until this machine has measured one. It is not a timeout. */
  readonly expectedMinutes: number
  /** Labs that the suite starts. They are removed when the suite ends. */
  readonly labs: readonly string[]
  /** Suites that must end before this one starts. */
  readonly after?: readonly string[]
  readonly command: readonly string[]
  /** `vitest` writes its counts as JSON. `lines` prints `ok …` or `FAILED …` for each part. */
  readonly counts: 'vitest' | 'lines'
}

const vitest = (...args: string[]): readonly string[] => ['vitest', 'run', '--reporter=default', ...args]
/** Prints a line after every test: one file takes minutes, and a suite without output counts as hung. */
const vitestOnLab = (...args: string[]): readonly string[] => ['vitest', 'run', '--reporter=verbose', ...args]

const e2eLab = e2eLabName(process.env)

const simulate = 'test/simulation/main.ts'

const labOfLab = 't1'
/**
 * The lab for the second half of the end-to-end tests. The existing lab's nodes already have the images. With another lab name, two runs can use
 * separate labs.
 */
const secondLab = e2eLab === 'e2e' ? labOfLab : `${e2eLab}2`

/** The end-to-end tests in two halves, each on its own lab: on one lab, tests would see each other's changes to the Swarm. */
const e2eHalves: readonly Suite[] = [
  { name: 'e2e 1/2', lab: e2eLab, after: ['lab', 'contract'] },
  { name: 'e2e 2/2', lab: secondLab, after: ['lab'] },
].map(({ name, lab, after }) => ({
  name,
  what: 'swarmvirt on a real three-node Swarm',
  expectedMinutes: 9,
  labs: [lab],
  after,
  command: ['env', `SWARMVIRT_E2E_LAB=${lab}`, ...vitestOnLab('--project', 'e2e', `--shard=${name.slice(4)}`)],
  counts: 'vitest',
}))

/** Two suites run at a time, in this order: a CPU-bound suite next to one that waits for daemons and guests. */
export const quickSuites: readonly Suite[] = [
  {
    name: 'check',
    what: 'types, lint, format, dead code, generated files',
    expectedMinutes: 2,
    labs: [],
    command: ['node', 'scripts/check.ts'],
    counts: 'lines',
  },
  // The lab comes before every suite that needs one: it installs the requirements and fills the caches.
  {
    name: 'lab',
    what: 'the lab itself',
    expectedMinutes: 8,
    labs: [labOfLab],
    command: vitestOnLab('--project', 'lab'),
    counts: 'vitest',
  },
  {
    name: 'unit',
    what: 'pure parts and laws',
    expectedMinutes: 4,
    labs: [],
    command: vitest('--project', 'unit', '--project', 'property'),
    counts: 'vitest',
  },
  {
    name: 'contract',
    what: 'adapters, broker, agent and runner on a real kernel',
    expectedMinutes: 6,
    labs: [e2eLab],
    after: ['lab'],
    command: vitestOnLab('--project', 'contract'),
    counts: 'vitest',
  },
  {
    name: 'simulation',
    what: 'the controller in the simulator: every scenario, 2,000 seeds, a few planted bugs',
    expectedMinutes: 6,
    labs: [],
    command: vitest('--project', 'simulation'),
    counts: 'vitest',
  },
  ...e2eHalves,
]

/** The files of `test/full` without the kills, in pieces of a few minutes each. */
export const realFiles: Readonly<Record<string, { readonly what: string; readonly files: readonly string[] }>> = {
  guests: {
    what: 'Debian, nodes without power, a host that is shut down, the KVM probe',
    files: ['debian-image', 'debian', 'kvm-agrees', 'shutdown', 'blackout'],
  },
  manifests: { what: 'a commit a second, edits, the samples', files: ['gitops', 'edits', 'samples'] },
  networks: {
    what: 'interface names of Debian with several networks, 100 MB over each kind of NIC',
    files: ['networks', 'direct', 'user-networks'],
  },
  firmware: { what: 'UEFI, secure boot and TPM through restart and kill', files: ['firmware'] },
  operators: {
    what: 'a metrics token, closed ports, the seccomp profile, an agent that hangs, two controllers',
    files: ['hardening', 'seccomp', 'hung-agent', 'two-controllers', 'run-strategies'],
  },
}

/** Faults of the Swarm, each in its own suite. */
export const faultFiles: Readonly<Record<string, { readonly what: string; readonly file: string }>> = {
  managers: { what: 'managers killed, cut off, without quorum, all at once', file: 'managers' },
  silence: { what: 'events that do not come, 3,000 changes meanwhile', file: 'silent-events' },
}

/** The suites of `npm test`, then the long ones. */
export const fullSuites: readonly Suite[] = [
  ...quickSuites.map((suite) => ({ ...suite, command: ['env', 'SWARMVIRT_WHOLE=true', ...suite.command] })),
  {
    name: 'fuzz',
    what: 'the manifest reader, 200,000 mutations',
    expectedMinutes: 10,
    labs: [],
    command: ['env', 'SWARMVIRT_FUZZ_RUNS=200000', ...vitest('--project', 'property', 'manifest-fuzz')],
    counts: 'vitest',
  },
  {
    name: 'strings',
    what: 'the way of a manifest to QEMU, 200,000 hostile strings',
    expectedMinutes: 10,
    labs: [],
    command: ['env', 'SWARMVIRT_STRING_RUNS=200000', ...vitest('--project', 'property', 'option-strings')],
    counts: 'vitest',
  },
  {
    name: 'seeds',
    what: 'the simulator, 10,000 seeds',
    expectedMinutes: 10,
    labs: [],
    command: ['node', simulate, '--seeds', '10000', '--from', '2001'],
    counts: 'lines',
  },
  ...sweep('crashes', 'the controller dies around every call of every scenario', 4),
  ...sweep('double-crashes', 'it dies, and again while that is repaired: a sample in every scenario', 1),
  ...sweep('calls', 'every fifth single fault of a call', 2, '--every', '5'),
  ...sweep('events', 'every event, and every two in a row, dropped', 1),
  ...sweep('stale', 'every read that can be stale, in every scenario', 1),
  ...sweep('stale-pairs', 'every two stale reads around a delete', 2),
  ...pieces(2).map(
    (part): Suite => ({
      name: `planted ${part}`,
      what: 'every planted bug is noticed',
      expectedMinutes: 10,
      labs: [],
      command: ['node', 'test/simulation/planted/main.ts', '--part', part],
      counts: 'lines',
    }),
  ),
  ...Object.entries(realFiles).map(([name, { what, files }]) => realSuite(name, what, files)),
  ...Object.entries(faultFiles).flatMap(([name, { what, file }]) =>
    ['1', '2'].map((round) => faultSuite(`${name} ${round}`, what, file, round)),
  ),
  ...['1/4', '2/4', '3/4', '4/4'].map(killSuite),
]

function pieces(count: number): readonly string[] {
  return Array.from({ length: count }, (_one, index) => `${index + 1}/${count}`)
}

/** Splits a sweep into pieces that take half of their budget on two idle cores. */
function sweep(name: string, what: string, count: number, ...args: string[]): readonly Suite[] {
  return pieces(count).map((part) => ({
    name: count === 1 ? name : `${name} ${part}`,
    what,
    expectedMinutes: 10,
    labs: [],
    command: ['node', simulate, '--sweep', name, ...args, '--part', part],
    counts: 'lines',
  }))
}

function realSuite(name: string, what: string, files: readonly string[]): Suite {
  return {
    name,
    what,
    expectedMinutes: 9,
    labs: [e2eLab],
    command: vitestOnLab('--project', 'full', ...files.map((file) => `full/${file}.full`)),
    counts: 'vitest',
  }
}

function faultSuite(name: string, what: string, file: string, round: string): Suite {
  const suite = realSuite(name, what, [file])
  return { ...suite, command: ['env', `SWARMVIRT_ROUND=${round}`, ...suite.command] }
}

function killSuite(part: string): Suite {
  return {
    name: `kills ${part}`,
    what: 'the controller killed on each call to dockerd',
    expectedMinutes: 9,
    labs: [e2eLab],
    command: ['env', `SWARMVIRT_KILL_PART=${part}`, ...vitestOnLab('--project', 'full', 'kill-controller')],
    counts: 'vitest',
  }
}
