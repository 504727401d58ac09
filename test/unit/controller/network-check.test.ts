import { expect, it } from 'vitest'
import { networksOver } from '../../../src/adapters/docker/docker-networks.ts'
import { checkNetworks } from '../../../src/controller/loop/network-check.ts'
import { PortError } from '../../../src/ports/errors.ts'
import type { NetworkFacts } from '../../../src/ports/networks.ts'

type Answer = NetworkFacts | 'away' | undefined

/** Runs one check for each pair of answers, and gives what each of them logged. */
async function logged(
  answers: readonly { readonly guests: Answer; readonly control: Answer; readonly user?: Answer }[],
): Promise<string[][]> {
  const stop = new AbortController()
  const lines: string[][] = []
  const say = (level: string) => (fields: object, message: string) =>
    void lines.at(-1)?.push(`${level} ${Object.values(fields)[0]}: ${message}`)
  let check = 0
  const log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') }
  const clock = {
    now: () => 0,
    elapsed: () => 0,
    after: (_ms: number, callback: () => void) => {
      check += 1
      if (check === answers.length) queueMicrotask(() => stop.abort())
      else {
        lines.push([])
        queueMicrotask(callback)
      }
      return () => undefined
    },
  }
  const networks = {
    getNetwork: async (name: string) => {
      const answer = answers[check]?.[({ g: 'guests', c: 'control', u: 'user' } as const)[name as 'g' | 'c' | 'u']]
      if (answer === 'away') throw new PortError('Unavailable', 'no answer')
      return answer
    },
  }
  lines.push([])
  await checkNetworks({ networks, clock, log, guests: 'g', control: 'c', user: 'u' }, stop.signal)
  return lines
}

const right = { guests: { isInternal: true, isEncrypted: false }, control: { isInternal: false, isEncrypted: true } }

it('says nothing of networks that are as they should be', async () => {
  expect(await logged([right])).toEqual([[]])
})

it('warns of an overlay that is not internal once, and again when it is so again', async () => {
  const wrong = { ...right, guests: { isInternal: false, isEncrypted: false } }
  const warning = expect.stringMatching(/^warn g: .*not internal/)
  expect(await logged([wrong, wrong, right, wrong])).toEqual([[warning], [], [], [warning]])
})

it('warns of a network of VMs behind NAT that the nodes do not filter, and needs none', async () => {
  const facts = { isInternal: false, isEncrypted: false }
  const warning = expect.stringMatching(/^warn u: .*do not filter it/)
  expect(await logged([{ ...right, user: { ...facts, configFrom: 'swarmvirt-user-config' } }, { ...right, user: facts }, right])).toEqual([
    [],
    [warning],
    [],
  ])
})

it('warns of one that is missing, mentions a control overlay without encryption, and takes no error for either', async () => {
  const wrong = { guests: undefined, control: { isInternal: false, isEncrypted: false } }
  const away = { guests: 'away', control: 'away' } as const
  const said = [expect.stringMatching(/^warn g: .*does not exist/), expect.stringMatching(/^info c: .*not encrypted/)]
  expect(await logged([wrong, away, wrong])).toEqual([said, [expect.stringMatching(/^debug/)], []])
})

it.each([
  [
    { Internal: true, Options: null },
    { isInternal: true, isEncrypted: false },
  ],
  [
    { Internal: false, Options: { encrypted: '' } },
    { isInternal: false, isEncrypted: true },
  ],
  [undefined, undefined],
])('reads %j', async (answer, facts) => {
  expect(await networksOver({ find: async () => answer }).getNetwork('x')).toEqual(facts)
})
