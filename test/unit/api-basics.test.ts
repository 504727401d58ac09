import { describe, expect, it } from 'vitest'
import { condition, conditionOwners, readyChecks, stampConditions } from '../../src/api/conditions.ts'
import { canonicalJson } from '../../src/api/hash.ts'
import { defaultStateRoot, layout, maxSocketPathBytes, maxStateRootBytes } from '../../src/api/layout.ts'
import { deterministicMac, parseMac } from '../../src/api/mac.ts'
import { contentName, placementRecordName, serviceName, tapName, tapNamePattern, vmNamePattern } from '../../src/api/names.ts'
import { formatBytes, parseQuantity } from '../../src/api/quantity.ts'
import { aUid, aVmName } from '../support/branded.ts'

const uid = aUid('6f1b3a52-3c1d-4a89-9a53-0f6f4f1f9c11')
const longest = aVmName('x'.repeat(50))

describe('names', () => {
  it('fit what Docker and Linux allow, also for the longest VM name', () => {
    expect(vmNamePattern.test(longest)).toBe(true)
    expect(serviceName(longest).length).toBeLessThanOrEqual(63)
    expect(placementRecordName(longest).length).toBeLessThanOrEqual(64)
    expect(contentName('launch', uid, 'x'.repeat(10_000)).length).toBeLessThanOrEqual(64)
    expect(tapName(uid, 'lan')).toMatch(tapNamePattern)
    expect(tapName(uid, 'lan').length).toBeLessThanOrEqual(15)
  })

  it('keep every socket path within what a UNIX socket holds, for the longest state root allowed', () => {
    const root = `/${'r'.repeat(maxStateRootBytes - 1)}`
    for (const path of [layout(root).controlSocket(uid), layout(root).brokerSocket(uid), layout(root).adminSocket]) {
      expect(Buffer.byteLength(path)).toBeLessThanOrEqual(maxSocketPathBytes)
    }
    expect(defaultStateRoot.length).toBeLessThanOrEqual(maxStateRootBytes)
  })
})

describe('a MAC', () => {
  it('depends on cluster, VM and network name alone, and is unicast', () => {
    expect(deterministicMac('lab', aVmName('web'), 'lan')).toBe(deterministicMac('lab', aVmName('web'), 'lan'))
    expect(new Set(['a', 'b', 'c'].map((cluster) => deterministicMac(cluster, aVmName('web'), 'lan'))).size).toBe(3)
    expect(parseMac(deterministicMac('lab', aVmName('web'), 'lan'))).toMatch(/^52:54:00:/)
  })

  it.each(['', 'ff:ff:ff:ff:ff:ff', '01:00:5e:00:00:01', '00:00:00:00:00:00', '52:54:00:12:34', '52:54:00:12:34:5g', '525400123456'])(
    'is not %j',
    (text) => {
      expect(parseMac(text)).toBeUndefined()
    },
  )
})

describe('a quantity', () => {
  it.each([
    ['512Mi', 512 * 1024 ** 2],
    ['2Gi', 2 * 1024 ** 3],
    ['20G', 20e9],
    ['1.5Gi', 1.5 * 1024 ** 3],
    ['1024', 1024],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseQuantity(text)).toBe(bytes)
  })

  it.each(['', 'Gi', '-1Gi', '1e9', '0.3', '1 Gi', '1GiB', '9'.repeat(16), '99999999Ti'])('%j is none', (text) => {
    expect(parseQuantity(text)).toBeUndefined()
  })

  it('is shown in the largest unit that keeps a digit before the point', () => {
    expect([512, 1024, 1536 * 1024, 20 * 1024 ** 3].map(formatBytes)).toEqual(['512 B', '1 KiB', '1.5 MiB', '20 GiB'])
  })
})

describe('conditions', () => {
  const first = stampConditions([], [condition('Placed', 'False', 'NoNodeFits', 'a')], {
    observedGeneration: 'g1',
    now: '2026-01-01T00:00:00.000Z',
  })

  it('move their transition time with the status and not with the message', () => {
    const same = stampConditions(first, [condition('Placed', 'False', 'NoNodeFits', 'b')], {
      observedGeneration: 'g2',
      now: '2026-01-01T00:01:00.000Z',
    })
    expect(same[0]).toMatchObject({ message: 'b', observedGeneration: 'g2', lastTransitionTime: '2026-01-01T00:00:00.000Z' })
    const turned = stampConditions(same, [condition('Placed', 'True', 'Placed', '')], {
      observedGeneration: 'g2',
      now: '2026-01-01T00:02:00.000Z',
    })
    expect(turned[0]?.lastTransitionTime).toBe('2026-01-01T00:02:00.000Z')
  })

  it('each have an owner, and so has every check for Ready', () => {
    for (const check of readyChecks) expect(conditionOwners[check]).toBeDefined()
  })
})

describe('canonical JSON', () => {
  it('does not depend on the order of keys and keeps that of lists', () => {
    expect(canonicalJson({ b: 1, a: [2, 1, { d: 1, c: 2 }] })).toBe('{"a":[2,1,{"c":2,"d":1}],"b":1}')
  })
})
