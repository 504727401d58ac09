import { describe, expect, it } from 'vitest'
import { dockerEndpoint, dockerGlobals } from '../../../src/cli/docker-globals.ts'

const args = (...argv: string[]) => dockerGlobals(argv).globals.args
const rest = (...argv: string[]) => dockerGlobals(argv).rest

describe("Docker's flags before vm", () => {
  it.each([[['--context', 'x']], [['--context=x']], [['-c', 'x']], [['-cx']], [['-c=x']]])(
    '%j name the context, and go on to the docker that is called',
    (flags) => {
      expect(dockerGlobals([...flags, 'vm', 'ls', '-o', 'json'])).toEqual({
        globals: { args: ['--context', 'x'], config: undefined, context: 'x', host: undefined },
        rest: ['ls', '-o', 'json'],
      })
    },
  )

  it('may be several, also in one argument', () => {
    expect(args('-DH', 'tcp://a', '--tlsverify', '--tlscacert=/ca', '--tls=false', '--config', '/c', 'vm', 'ls')).toEqual([
      '--debug',
      '--host',
      'tcp://a',
      '--tlsverify',
      '--tlscacert',
      '/ca',
      '--tls=false',
      '--config',
      '/c',
    ])
  })

  it('end where the verb begins, with or without vm', () => {
    expect(rest('ls', '--context', 'x')).toEqual(['ls', '--context', 'x'])
    expect(rest('--help')).toEqual(['--help'])
    expect(rest('vm', '-h')).toEqual(['-h'])
    expect(rest()).toEqual([])
  })

  it('need the value that they need', () => {
    expect(() => dockerGlobals(['--context'])).toThrow('--context needs a value')
  })
})

describe('what Docker talks to', () => {
  const none = { host: undefined, context: undefined }
  it("is named by Docker's own order", () => {
    expect(dockerEndpoint(none, none, undefined)).toBe('context:default')
    expect(dockerEndpoint(none, none, 'home')).toBe('context:home')
    expect(dockerEndpoint(none, { host: undefined, context: 'lab' }, 'home')).toBe('context:lab')
    expect(dockerEndpoint(none, { host: 'ssh://m', context: 'lab' }, 'home')).toBe('host:ssh://m')
    expect(dockerEndpoint({ host: undefined, context: 'x' }, { host: 'ssh://m', context: 'lab' }, 'home')).toBe('context:x')
    expect(dockerEndpoint({ host: undefined, context: 'default' }, { host: 'ssh://m', context: undefined }, 'home')).toBe('host:ssh://m')
    expect(dockerEndpoint({ host: 'tcp://a', context: undefined }, { host: 'ssh://m', context: 'lab' }, 'home')).toBe('host:tcp://a')
  })
})
