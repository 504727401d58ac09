import { describe, expect, it } from 'vitest'
import { negotiate } from '../../../src/adapters/docker/engine.ts'
import { kindOfStatus, portErrorOf } from '../../../src/adapters/docker/errors.ts'
import { linesOf, readEvent } from '../../../src/adapters/docker/events.ts'

describe('an answer of the Engine API that is no success', () => {
  const table: readonly [number, string, string][] = [
    [400, 'rpc error: code = InvalidArgument desc = name must be valid as a DNS name component', 'Invalid'],
    [400, 'rpc error: code = InvalidArgument desc = config "x" is in use by the following service: y', 'Invalid'],
    [400, 'rpc error: code = Unknown desc = update out of sequence', 'Conflict'],
    [401, 'no', 'Denied'],
    [403, 'a proxy says no', 'Denied'],
    [404, 'service vm-web not found', 'NotFound'],
    [406, 'This node is not a swarm manager', 'Unavailable'],
    [409, 'rpc error: code = AlreadyExists desc = name conflicts with an existing object', 'Conflict'],
    [500, 'rpc error: code = Unknown desc = update out of sequence', 'Conflict'],
    [500, 'rpc error: code = Unknown desc = name conflicts with an existing object: config sv-vm-a already exists', 'Conflict'],
    [500, 'rpc error: code = InvalidArgument desc = Spec.Name: invalid', 'Invalid'],
    [500, 'rpc error: code = NotFound desc = node x not found', 'NotFound'],
    [500, 'network swarmvirt-guests not found', 'NotFound'],
    [500, "rpc error: code = Unknown desc = secret 'x' is in use by the following service: y", 'Invalid'],
    [500, "rpc error: code = Unknown desc = key 'node.labels.a/b' is invalid", 'Invalid'],
    [500, 'rpc error: code = Unknown desc = constraint expected one operator from ==, !=', 'Invalid'],
    [500, 'rpc error: code = Unknown desc = The swarm does not have a leader.', 'Unavailable'],
    [500, 'rpc error: code = DeadlineExceeded desc = context deadline exceeded', 'Unavailable'],
    [500, 'rpc error: code = Unavailable desc = connection error', 'Unavailable'],
    [500, 'something nobody has seen', 'Unavailable'],
    [503, 'This node is not a swarm manager. Use "docker swarm init"', 'Unavailable'],
  ]
  it.each(table)('%i "%s" is %s', (status, message, kind) => {
    expect(kindOfStatus(status, message)).toBe(kind)
  })

  it('keeps the daemon’s message', () => {
    const error = portErrorOf({ statusCode: 409, json: { message: 'name taken' }, message: '(HTTP code 409)' }, 'POST /configs/create')
    expect([error.kind, error.message]).toEqual(['Conflict', 'POST /configs/create: name taken'])
  })

  it('finds them in the answer to a request for a stream', () => {
    const wrapped = '(HTTP code 500) server error - network guests not found '
    const error = portErrorOf(Object.assign(new Error(wrapped), { statusCode: 500, json: null }), 'GET /tasks')
    expect([error.kind, error.message]).toEqual(['NotFound', 'GET /tasks: network guests not found'])
  })

  it.each(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT'])('%s says nothing about what happened', (code) => {
    expect(portErrorOf(Object.assign(new Error('x'), { code }), 'GET /nodes').kind).toBe('Unavailable')
  })
})

describe('the API version', () => {
  it.each([
    ['1.41', '1.41'],
    ['1.44', '1.44'],
    ['1.99', '1.51'],
  ])('of a daemon that offers %s is %s', (offered, taken) => {
    expect(negotiate(offered)).toBe(taken)
  })

  it('must not be older than Engine 20.10’s', () => {
    expect(() => negotiate('1.40')).toThrow(/1\.41 \(Engine 20\.10\)/)
  })
})

describe('the event stream', () => {
  async function* chunks(...parts: string[]): AsyncGenerator<Uint8Array> {
    for (const part of parts) yield new TextEncoder().encode(part)
  }

  it('holds several lines in a chunk and parts of one', async () => {
    const lines: string[] = []
    for await (const line of linesOf(chunks('{"a":1}\n{"b"', ':2}\n\n{"c":3}', '\n{"never ended'))) lines.push(line)
    expect(lines).toEqual(['{"a":1}', '{"b":2}', '{"c":3}'])
  })

  it('returns the subject of an event, and nothing for other lines', () => {
    const line = '{"Type":"service","Action":"update","Actor":{"ID":"abc","Attributes":{"name":"vm-web"}}}'
    expect(readEvent(line)).toEqual({ type: 'service', action: 'update', id: 'abc', name: 'vm-web' })
    expect([readEvent('null'), readEvent('{'), readEvent('[]')]).toEqual([undefined, undefined, undefined])
    expect(readEvent('{"Type":"plugin"}')?.type).toBe('other')
  })
})
