import { expect, test } from 'vitest'
import { wrongStaticAddress } from '../../src/api/manifest/static-address.ts'

const wrong = (address: unknown, gateway?: unknown): readonly string[] =>
  wrongStaticAddress([], { ipv4: { address, ...(gateway === undefined ? {} : { gateway }) } }).map(
    ({ code, path }) => `${code} ${path.join('.')}`,
  )

test.each([
  ['192.168.50.42/24', '192.168.50.1'],
  ['192.168.50.42/24', undefined],
  ['10.0.0.0/31', '10.0.0.1'],
  ['10.0.0.7/32', undefined],
  ['10.255.0.9/8', '10.0.0.1'],
  ['no address', 'no address'],
  [42, 42],
])('%s with the gateway %s is accepted, or left to the schema', (address, gateway) => {
  expect(wrong(address, gateway)).toEqual([])
})

test.each([
  ['192.168.50.0/24', undefined, 'VM010 ipv4.address'],
  ['192.168.50.255/24', '192.168.50.1', 'VM010 ipv4.address'],
  ['192.168.50.42/24', '192.168.50.42', 'VM013 ipv4.gateway'],
  ['192.168.50.42/24', '192.168.51.1', 'VM013 ipv4.gateway'],
  ['10.0.0.7/32', '10.0.0.1', 'VM013 ipv4.gateway'],
])('%s with the gateway %s is refused', (address, gateway, issue) => {
  expect(wrong(address, gateway)).toEqual([issue])
})
