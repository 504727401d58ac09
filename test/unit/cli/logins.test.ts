import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { credentialHelper } from '../../../src/adapters/docker/credential-helper.ts'
import { forgetLogin, storeLogin, storedLogin, type LoginPorts, moveLogin } from '../../../src/cli/login/login-store.ts'

let folder = ''
let path: string | undefined
let file: string | undefined

/** A helper as Docker's are, that keeps each secret in a file and refuses as they do. */
const helper = `#!/bin/sh
cd "$(dirname "$0")" || exit 1
input=$(cat)
key() { printf %s "$1" | cksum | cut -d' ' -f1; }
case $1 in
  store) printf %s "$input" > "$(key "$(printf %s "$input" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/')").secret" ;;
  get) cat "$(key "$input").secret" 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;
  erase) rm -- "$(key "$input").secret" 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;
esac
`

beforeEach(async () => {
  file = undefined
  folder = await mkdtemp(join(tmpdir(), 'helper-'))
  await writeFile(join(folder, 'docker-credential-fake'), helper, { mode: 0o755 })
  path = process.env['PATH']
  process.env['PATH'] = `${folder}:${path}`
})
afterEach(async () => {
  process.env['PATH'] = path
  await rm(folder, { recursive: true })
})

function ports(endpoint = 'context:default', helperName?: string): LoginPorts {
  return {
    endpoint,
    readFile: () => Promise.resolve(file),
    writeFile: (text) => {
      file = text
      return Promise.resolve()
    },
    helperOf: () => helperName,
    helper: credentialHelper,
  }
}

const login = { server: 'https://m1:9471', fingerprint: 'AA:BB', token: 'the-token' }
const other = { server: 'https://m2:9471', fingerprint: 'CC:DD', token: 'another-token' }

describe('logins', () => {
  it('are kept one for each Docker endpoint, and none is taken for another', async () => {
    await storeLogin(ports('context:home'), login)
    await storeLogin(ports('context:work'), other)
    expect(await storedLogin(ports('context:home'))).toEqual(login)
    expect(await storedLogin(ports('context:work'))).toEqual(other)
    expect(await storedLogin(ports('context:default'))).toBeUndefined()
  })

  it('of release 0.1.0 are of the default context, and stay when another is added', async () => {
    file = `${JSON.stringify(login, null, 2)}\n`
    expect(await storedLogin(ports())).toEqual(login)
    expect(await storedLogin(ports('context:work'))).toBeUndefined()
    await storeLogin(ports('context:work'), other)
    expect(await storedLogin(ports())).toEqual(login)
  })

  it('of a later release are neither read nor written over', async () => {
    file = JSON.stringify({ version: 3, all: [] })
    const before = file
    await expect(storedLogin(ports())).rejects.toThrow('version 3 of a newer docker vm')
    await expect(storeLogin(ports(), login)).rejects.toThrow('version 3')
    expect(file).toBe(before)
  })

  it('keep fields that a later release added', async () => {
    file = JSON.stringify({ version: 2, logins: { 'context:a': { ...login, note: 'kept' } }, more: 1 })
    await storeLogin(ports('context:b'), other)
    expect(JSON.parse(file)).toMatchObject({ more: 1, logins: { 'context:a': { note: 'kept' } } })
  })

  it.each(['{', '[]', '{"version":2}', '{"server":1}'])('that are broken (%s) say so, and a new login replaces them', async (text) => {
    file = text
    await expect(storedLogin(ports())).rejects.toThrow('log in again')
    await storeLogin(ports(), login)
    expect(await storedLogin(ports())).toEqual(login)
  })

  it('follow a controller that moved, with certificate and token as they were', async () => {
    await storeLogin(ports(), login)
    await moveLogin(ports(), 'https://m3:9471')
    expect(await storedLogin(ports())).toEqual({ ...login, server: 'https://m3:9471' })
  })

  it('are forgotten one at a time', async () => {
    await storeLogin(ports('context:home'), login)
    await storeLogin(ports('context:work'), other)
    expect(await forgetLogin(ports('context:home'))).toBe(true)
    expect(await forgetLogin(ports('context:home'))).toBe(false)
    expect(await storedLogin(ports('context:work'))).toEqual(other)
  })
})

describe("Docker's credential helper", () => {
  it('keeps the token, which is not in the login file then', async () => {
    expect(await storeLogin(ports('context:a', 'fake'), login)).toBe('docker-credential-fake')
    expect(file).not.toContain(login.token)
    expect(await storedLogin(ports('context:a', 'fake'))).toEqual(login)
    await moveLogin(ports('context:a', 'fake'), 'https://m3:9471')
    expect(await storedLogin(ports('context:a'))).toEqual({ ...login, server: 'https://m3:9471' })
  })

  it('loses the token at logout, unless another context has the same', async () => {
    await storeLogin(ports('context:a', 'fake'), login)
    await storeLogin(ports('context:b', 'fake'), login)
    await forgetLogin(ports('context:a'))
    expect(await storedLogin(ports('context:b'))).toEqual(login)
    await forgetLogin(ports('context:b'))
    expect(await credentialHelper('fake').get(login.server)).toBeUndefined()
  })

  it('that lost the token, or is not there, is named', async () => {
    await storeLogin(ports('context:a', 'fake'), login)
    await credentialHelper('fake').erase(login.server)
    await expect(storedLogin(ports('context:a'))).rejects.toThrow('log in again')
    await expect(storeLogin(ports('context:a', 'absent'), login)).rejects.toThrow('docker-credential-absent')
    expect(() => credentialHelper('../x')).toThrow('not a valid credential helper')
  })

  it('answers to what Docker itself writes: the secret alone goes in and comes out', async () => {
    await credentialHelper('fake').store('https://m1:9471', 'a"b\\c')
    expect(await credentialHelper('fake').get('https://m1:9471')).toBe('a"b\\c')
    const [kept] = (await import('node:fs')).readdirSync(folder).filter((name) => name.endsWith('.secret'))
    expect(JSON.parse(await readFile(join(folder, kept ?? ''), 'utf8'))).toEqual({
      ServerURL: 'https://m1:9471',
      Username: '<token>',
      Secret: 'a"b\\c',
    })
    expect((await stat(folder)).isDirectory()).toBe(true)
  })
})
