import { describe, expect, test } from 'vitest'
import { GuestAgent } from '../../runner/guest-agent/guest-agent.ts'
import { interfacesOf } from '../../runner/guest-agent/answers.ts'
import { jsonLines } from '../../runner/guest-agent/json-lines.ts'
import { fakeChannel, recordingLog, settle, virtualClock } from './runner-fakes.ts'

describe('the bytes of a guest', () => {
  const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')

  test.each<[string, string[], unknown[]]>([
    ['one value a line', ['{"return":1}\n{"return":2}\n'], [{ return: 1 }, { return: 2 }]],
    ['a value in pieces', ['{"ret', 'urn":', '1}', '\n'], [{ return: 1 }]],
    ['the sentinel drops what came before it', ['{"return":0', '\u00ff{"return":1}\n'], [{ return: 1 }]],
    ['a line that is not JSON is dropped', ['nonsense\n{"return":1}\n'], [{ return: 1 }]],
    ['carriage returns and empty lines are no values', ['\r\n\n{"return":1}\r\n'], [{ return: 1 }]],
    ['a line that is too long is dropped up to its newline', [`"${'x'.repeat(70_000)}`, 'y"\n{"return":1}\n'], [{ return: 1 }]],
    ['a value without a newline is not complete', ['{"return":1}'], []],
  ])('%s', (_what, pieces, values) => {
    const lines = jsonLines()
    expect(pieces.flatMap((piece) => lines.push(bytes(piece)))).toEqual(values)
  })

  test('a flood keeps at most one line, whatever the pieces', () => {
    const lines = jsonLines()
    for (let index = 0; index < 200; index += 1) expect(lines.push(Buffer.alloc(100_000, 0x5b))).toEqual([])
    for (let index = 0; index < 200_000; index += 1) lines.push(Buffer.from('{'))
    expect(lines.push(bytes('\n{"return":7}\n'))).toEqual([{ return: 7 }])
  })

  test('deep nesting does not end the runner', () => {
    expect(jsonLines().push(bytes(`${'['.repeat(60_000)}\n`))).toEqual([])
  })
})

test('what a guest says of its interfaces is limited and free of control characters', () => {
  const many = Array.from({ length: 40 }, (_, index) => ({
    name: `eth${index}\u001b[2J`,
    'hardware-address': '52:54:00:12:34:56',
    'ip-addresses': Array.from({ length: 20 }, () => ({ 'ip-address': '192.168.50.42', prefix: 24, 'ip-address-type': 'ipv4' })),
  }))
  const found = interfacesOf([{ name: 'lo', 'ip-addresses': [{ 'ip-address': '127.0.0.1', prefix: 8 }] }, ...many]) ?? []
  expect([found.length, found[0]?.addresses.length]).toEqual([16, 8])
  expect(found[0]).toMatchObject({ name: 'eth0 [2J', addresses: expect.arrayContaining(['192.168.50.42/24']) })
  for (const wrong of [null, 'x', [{}], [{ name: 1 }], [{ name: 'x'.repeat(65) }], { return: [] }])
    expect(interfacesOf(wrong)).toBeUndefined()
})

type Answers = (command: string, args: Record<string, unknown>) => unknown

/** An agent that answers with what `answers` gives; with nothing if that is undefined. */
function aGuest(answers: Answers) {
  const clock = virtualClock()
  const log = recordingLog()
  const channel = fakeChannel()
  const commands: string[] = []
  const write = (bytes: Uint8Array): void => {
    const { execute, arguments: args = {} } = JSON.parse(Buffer.from(bytes).toString()) as {
      execute: string
      arguments?: Record<string, unknown>
    }
    commands.push(execute)
    const value =
      execute === 'guest-sync-delimited' && answers(execute, args) === undefined ? { return: args['id'] } : answers(execute, args)
    if (value !== undefined && value !== 'silence') setImmediate(() => channel.give(`${JSON.stringify(value)}\n`))
  }
  const agent = new GuestAgent({ ...channel, write }, { clock, log })
  return { agent, channel, clock, commands }
}

const healthy: Answers = (command, args) => {
  switch (command) {
    case 'guest-info':
      return { return: { version: '7.2.0', supported_commands: [] } }
    case 'guest-network-get-interfaces':
      return {
        return: [{ name: 'enp0s2', 'hardware-address': '52:54:00:12:34:56', 'ip-addresses': [{ 'ip-address': '10.0.0.2', prefix: 24 }] }],
      }
    case 'guest-exec':
      return args['path'] === '/bin/none' ? { error: { class: 'GenericError', desc: 'No such file' } } : { return: { pid: 7 } }
    case 'guest-exec-status':
      return { return: { exited: true, exitcode: 3 } }
    default:
      return undefined
  }
}

test('the version and the addresses are read from an agent that opens its port', async () => {
  const { agent, clock, commands } = aGuest(healthy)
  expect(agent.status).toEqual({ connected: false })
  expect(commands).toEqual([])
  agent.portChanged(true)
  await clock.pass(10)
  expect(agent.status).toEqual({
    connected: true,
    version: '7.2.0',
    interfaces: [{ name: 'enp0s2', mac: '52:54:00:12:34:56', addresses: ['10.0.0.2/24'] }],
  })
  agent.portChanged(false)
  expect(agent.status).toEqual({ connected: false, version: '7.2.0' })
})

test('an agent that hangs is not connected, and gets few requests', async () => {
  const { agent, clock, commands } = aGuest(() => 'silence')
  agent.portChanged(true)
  await clock.pass(3_600_000)
  expect(agent.status).toEqual({ connected: false })
  expect(commands.length).toBeLessThanOrEqual(20)
})

test('an answer to a request that was given up on is not taken for the next one', async () => {
  let isLate = true
  const { agent, channel, clock } = aGuest((command, args) =>
    command === 'guest-sync-delimited' && isLate ? 'silence' : healthy(command, args),
  )
  agent.portChanged(true)
  await clock.pass(5_000)
  expect(agent.status.connected).toBe(false)
  isLate = false
  channel.give('{"return":1}\n')
  await clock.pass(20_000)
  expect(agent.status).toMatchObject({ connected: true, version: '7.2.0' })
})

test('a guest that answers nonsense is connected only if it answers the synchronization', async () => {
  const { agent, clock } = aGuest((command) => (command === 'guest-sync-delimited' ? undefined : { return: ['nonsense'] }))
  agent.portChanged(true)
  await clock.pass(20_000)
  expect(agent.status).toEqual({ connected: true })
})

test.each<[string, readonly string[], object]>([
  ['its exit code', ['/bin/false', '-x'], { kind: 'exited', code: 3 }],
  ['the refusal of the agent', ['/bin/none'], { kind: 'failed', message: 'No such file' }],
])('a program in the guest gives %s', async (_what, command, outcome) => {
  const { agent, clock } = aGuest(healthy)
  agent.portChanged(true)
  await clock.pass(10)
  const done = agent.exec(command, 1_000)
  await clock.pass(1_000)
  expect(await done).toEqual(outcome)
})

test('a program that does not end is given up on', async () => {
  const { agent, clock } = aGuest((command, args) =>
    command === 'guest-exec-status' ? { return: { exited: false } } : healthy(command, args),
  )
  agent.portChanged(true)
  await clock.pass(10)
  const done = agent.exec(['/bin/sleep', '9'], 1_000)
  await clock.pass(2_000)
  expect(await done).toEqual({ kind: 'failed', message: 'it did not end within 1000 ms' })
})

test('without an agent nothing is sent, and a stop does not wait', async () => {
  const { agent, commands } = aGuest(healthy)
  expect(await agent.exec(['/bin/true'], 1_000)).toMatchObject({ kind: 'noAgent' })
  expect(await agent.shutDown()).toBe(false)
  expect(commands).toEqual([])
})

test('a shutdown is sent once the agent has answered', async () => {
  const { agent, clock, commands } = aGuest(healthy)
  agent.portChanged(true)
  await clock.pass(10)
  const asked = agent.shutDown()
  await settle()
  await clock.pass(10)
  expect(await asked).toBe(true)
  expect(commands.at(-1)).toBe('guest-shutdown')
})
