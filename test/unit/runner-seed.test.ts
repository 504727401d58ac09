import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { emptyUserData, metaData } from '../../runner/seed.ts'

const cloudInit = { instanceId: '12:34:56', hostname: 'web-1', sshAuthorizedKeys: [] as string[], hasUserData: false }

test('a YAML 1.1 reader takes a text that looks like a number for the text it is', () => {
  expect(parse(metaData(cloudInit), { version: '1.1' })).toEqual({ 'instance-id': '12:34:56', 'local-hostname': 'web-1' })
})

test('keys travel in the metadata, with whatever quotes they hold', () => {
  const keys = ['ssh-ed25519 AAAA "me": {x}', "ssh-rsa BBBB it's #1"]
  expect(parse(metaData({ ...cloudInit, sshAuthorizedKeys: keys }), { version: '1.1' })).toMatchObject({ 'public-keys': keys })
})

test('a VM without user data gets an empty cloud-config', () => {
  expect(emptyUserData.startsWith('#cloud-config\n')).toBe(true)
  expect(parse(emptyUserData)).toEqual({})
})
