import { expect, test } from 'vitest'
import { Qmp, QmpError, type QmpEvent } from '../../runner/qmp.ts'
import { fakeChannel, settle, virtualClock } from './runner-fakes.ts'

const greeting = '{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}, "package": ""}, "capabilities": ["oob"]}}\r\n'

function aQmp() {
  const [channel, clock, events] = [fakeChannel(), virtualClock(), [] as QmpEvent[]]
  const qmp = new Qmp(channel, clock, (event) => events.push(event))
  const sent = (): Record<string, unknown>[] => channel.written.map((line) => JSON.parse(line) as Record<string, unknown>)
  return { qmp, channel, clock, events, sent }
}

test('it leaves capability negotiation and tells the version', async () => {
  const { qmp, channel, sent } = aQmp()
  const version = qmp.start()
  channel.give(greeting.slice(0, 30))
  channel.give(greeting.slice(30))
  await settle()
  expect(sent()).toMatchObject([{ execute: 'qmp_capabilities' }])
  channel.give(`{"return": {}, "id": ${String(sent()[0]?.['id'])}}\r\n`)
  expect(await version).toBe('10.0.2')
})

test('answers find their commands in any order, with events between', async () => {
  const { qmp, channel, events } = aQmp()
  const [first, second] = [qmp.execute('a'), qmp.execute('b', { x: 1 })]
  channel.give(
    '{"return": 2, "id": 2}\n{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}\n{"return": 1, "id": 1}\n',
  )
  expect(await Promise.all([first, second])).toEqual([1, 2])
  expect(events).toMatchObject([{ event: 'SHUTDOWN', data: { reason: 'guest-shutdown' } }])
})

test('an error of QEMU is reported with its message', async () => {
  const { qmp, channel } = aQmp()
  const refused = qmp.execute('nonsense')
  channel.give('{"error": {"class": "CommandNotFound", "desc": "no such command"}, "id": 1}\n')
  await expect(refused).rejects.toThrow('CommandNotFound: no such command')
})

test('a command without answer ends after its time', async () => {
  const { qmp, clock } = aQmp()
  const hung = expect(qmp.execute('query-status', undefined, 500)).rejects.toThrow(QmpError)
  await clock.pass(501)
  await hung
})

test('the end of QEMU ends every command, and the ones after it', async () => {
  const { qmp, channel } = aQmp()
  const started = expect(qmp.start()).rejects.toThrow(QmpError)
  const running = expect(qmp.execute('quit')).rejects.toThrow(QmpError)
  channel.end()
  await Promise.all([started, running])
  await expect(qmp.execute('quit')).rejects.toThrow(QmpError)
})

test('ignores lines that are not QMP, and drops a line that is too long while later answers arrive', async () => {
  const { qmp, channel } = aQmp()
  channel.give('garbage\n[1]\n\n')
  const answer = qmp.execute('query-status')
  channel.give(Buffer.alloc(1024 * 1024 + 1, 'x'))
  channel.give('xxx')
  channel.give('x\n{"return":{"status":"running"},"id":1}\n')
  expect(await answer).toEqual({ status: 'running' })
})
