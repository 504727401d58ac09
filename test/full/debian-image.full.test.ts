import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clean, makeDirectory, makeSeed, overlayOf, pressPowerButton, serial, ssh, start } from '../contract/guests/bare-guest.ts'
import { command } from '../lab/guests/command.ts'

let directory: string

beforeAll(async () => {
  directory = await makeDirectory()
})
afterAll(() => clean(directory))

describe('the Debian guest', () => {
  it('gets its name and key from cloud-init, grows its file system and powers off when asked', async () => {
    const disk = await overlayOf(directory, 'debian', '4G')
    const key = join(directory, 'key')
    await command('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const userData = `#cloud-config\nssh_authorized_keys: ["${(await readFile(`${key}.pub`, 'utf8')).trim()}"]\n`
    const seed = await makeSeed(directory, 'debian', { 'meta-data': 'instance-id: i-2\nlocal-hostname: deb-1\n', 'user-data': userData })

    const guest = await start({
      directory,
      disk,
      seed: ['-drive', `file=${seed},format=raw,if=virtio,readonly=on`],
      guestPort: 22,
      memoryMiB: 512,
    })
    expect((await ssh(guest, key, ['hostname'], 400_000)).trim()).toBe('deb-1')
    expect((await ssh(guest, key, ['cloud-init', 'status', '--wait'], 180_000)).trim()).toContain('status: done')
    expect(Number(await ssh(guest, key, ['stat', '-f', '-c', '%b', '/'], 30_000))).toBeGreaterThan((3.5 * 1024 ** 3) / 4096)
    await pressPowerButton(guest, 90_000)
    expect(await serial(guest)).toContain('Power down')
  }, 900_000)
})
