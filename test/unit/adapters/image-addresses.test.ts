import type { LookupAddress } from 'node:dns'
import { describe, expect, test } from 'vitest'
import { imageAddresses } from '../../../src/adapters/node/image-addresses.ts'
import { type ImageHost, parseImageHost } from '../../../src/api/image-hosts.ts'
import type { Subnet } from '../../../src/api/special-addresses.ts'

const hosts = (...entries: string[]): ImageHost[] => entries.map((entry) => parseImageHost(entry) ?? { host: '', prefix: 0, port: 0 })

/** The address that a connection to the URL would use, or why there is none. */
async function looked(
  url: string,
  allowed: readonly ImageHost[] = [],
  own: readonly Subnet[] = [],
  nodes: readonly string[] = [],
): Promise<string[]> {
  const lookup = await imageAddresses({ allowed, ownSubnets: () => own }).lookupOf(new URL(url), nodes)
  return await new Promise((resolve, reject) =>
    lookup('another name by now', { all: true }, (error, found) =>
      error ? reject(error) : resolve(Array.isArray(found) ? found.map(({ address }) => address) : [found]),
    ),
  )
}
const expectRefused = (url: string, ...rest: [allowed?: readonly ImageHost[], own?: readonly Subnet[], nodes?: readonly string[]]) =>
  expect(looked(url, ...rest), url).rejects.toMatchObject({ failure: 'HostRefused' })

describe('images may come from', () => {
  test('public addresses are allowed, and the connection uses the checked address', async () => {
    for (const address of ['8.8.8.8', '172.15.255.255', '172.32.0.0', '192.169.0.1', '223.255.255.255'])
      expect(await looked(`http://${address}/x`)).toEqual([address])
    expect(await looked('https://[2606:4700::1111]/x')).toEqual(['2606:4700::1111'])
  })

  test('no address of this host, its links, a private network or the cluster', async () => {
    const addresses = ['127.0.0.1', '127.9.9.9', '0.0.0.0', '169.254.169.254', '10.77.0.1', '172.18.0.2', '192.168.50.11', '100.64.0.1']
    for (const address of [...addresses, '224.0.0.1', '255.255.255.255', '198.18.0.1']) await expectRefused(`http://${address}:2377/x`)
    for (const address of ['::1', '::', 'fe80::1', 'fd00::1', 'ff02::1', '64:ff9b::a00:1', '2002:a00:1::', '2001:0:1::']) {
      await expectRefused(`http://[${address}]/x`)
    }
  })

  test('no such address in another spelling', async () => {
    for (const host of ['2130706433', '0x7f.1', '017700000001', '127.1', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]'])
      await expectRefused(`http://${host}/x`)
    await expectRefused('http://localhost:9470/metrics')
  })

  test('no network that the agent is attached to, public or not', async () => {
    await expectRefused('http://8.8.8.9/x', [], [['8.8.8.8', 24]])
    expect(await looked('http://8.8.9.9/x', [], [['8.8.8.8', 24]])).toEqual(['8.8.9.9'])
  })

  test('no node of the cluster, also where its address is public', async () => {
    await expectRefused('http://8.8.4.4:9470/metrics', [], [], ['8.8.4.4', '2606:4700::1'])
    await expectRefused('http://[2606:4700:0::1]/x', [], [], ['8.8.4.4', '2606:4700::1'])
    expect(await looked('http://8.8.8.8/x', [], [], ['8.8.4.4'])).toEqual(['8.8.8.8'])
    expect(await looked('http://8.8.4.4:8080/x', hosts('8.8.4.4:8080'), [], ['8.8.4.4'])).toEqual(['8.8.4.4'])
  })

  test('the hosts that the operator names, by address, subnet or name, and by port where one is named', async () => {
    expect(await looked('http://10.0.0.5:8080/x', hosts('10.0.0.5'))).toEqual(['10.0.0.5'])
    expect(await looked('http://10.0.0.5:8080/x', hosts('10.0.0.0/24'))).toEqual(['10.0.0.5'])
    expect(await looked('http://[fd00:0:0::5]:8080/x', hosts('[fd00::5]:8080'))).toEqual(['fd00::5'])
    expect(await looked('http://localhost:8080/x', hosts('LocalHost:8080'))).toContain('127.0.0.1')
    expect(await looked('https://10.0.0.5/x', hosts('10.0.0.5:443'))).toEqual(['10.0.0.5'])
    await expectRefused('http://10.0.0.5:8081/x', hosts('10.0.0.5:8080'))
    await expectRefused('http://10.0.1.5/x', hosts('10.0.0.0/24'))
    await expectRefused('http://10.0.0.5/x', hosts('mirror.lan'))
  })

  test('no address of a name that has others beside public ones, and none that it gets later', async () => {
    const answers = [['10.0.0.1', '8.8.8.8', '127.0.0.1'], ['127.0.0.1']]
    const resolve = async (): Promise<LookupAddress[]> => (answers.shift() ?? []).map((address) => ({ address, family: 4 }))
    const lookup = await imageAddresses({ allowed: [], ownSubnets: () => [], resolve }).lookupOf(new URL('http://rebind.example/x'), [])
    const all = await new Promise((done) => lookup('rebind.example', { all: true }, (_error, found) => done(found)))
    const one = await new Promise((done) => lookup('rebind.example', {}, (_error, found) => done(found)))
    expect([all, one]).toEqual([[{ address: '8.8.8.8', family: 4 }], '8.8.8.8'])
  })

  test('a refusal does not say what a name resolves to', async () => {
    await expect(looked('http://localhost:9470/x')).rejects.toThrow(/^((?!127\.0\.0\.1|::1).)*$/)
  })
})

test.each(['', 'a b', 'http://mirror/', '10.0.0.0/33', 'fd00::/129', 'mirror:0', 'mirror:65536', '[fd00::5', 'mirror:80:80'])(
  'No host that is allowed is written %j',
  (entry) => {
    expect(parseImageHost(entry)).toBeUndefined()
  },
)
