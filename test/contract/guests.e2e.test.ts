import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clean, MAC, makeDirectory, makeSeed, overlayOf, page, pressPowerButton, serial, start } from './guests/bare-guest.ts'

let directory: string

beforeAll(async () => {
  directory = await makeDirectory()
})
afterAll(() => clean(directory))

describe('the tiny guest', () => {
  it('takes its name from the seed, keeps its disk, and tells an orderly shutdown from a power cut', async () => {
    const disk = await overlayOf(directory, 'tiny', '1G')
    const seed = await makeSeed(directory, 'tiny', {
      'meta-data': 'instance-id: i-1\nlocal-hostname: web-1\n',
      'user-data': '#cloud-config\n',
    })

    const first = await start({
      directory,
      disk,
      seed: ['-drive', `file=${seed},format=raw,if=virtio,readonly=on`],
      guestPort: 80,
      memoryMiB: 128,
    })
    expect((await page(first, '/', 60_000)).trim()).toBe('web-1')
    expect((await page(first, '/instance-id')).trim()).toBe('i-1')
    expect((await page(first, '/mac')).trim()).toBe(MAC)
    expect((await page(first, '/boot-count')).trim()).toBe('1')
    expect(await page(first, '/disks')).toContain(`vda ${1024 ** 3}`)
    await fetch(`http://127.0.0.1:${first.port}/cgi-bin/note`, { method: 'POST', body: 'kept' })
    await pressPowerButton(first, 30_000)
    const lines = await serial(first)
    expect(lines).toMatch(/swarmvirt-guest: up hostname=web-1 ip=\S+ boot=1/)
    expect(lines).toMatch(/swarmvirt-guest: orderly shutdown begins\s+swarmvirt-guest: orderly shutdown complete/)
    expect(lines).not.toContain('power cut')

    // The second time the seed is a CD-ROM on SATA, and QEMU is killed.
    const second = await start({ directory, disk, seed: ['-cdrom', seed], guestPort: 80, memoryMiB: 128 })
    expect((await page(second, '/', 60_000)).trim()).toBe('web-1')
    expect((await page(second, '/boot-count')).trim()).toBe('2')
    expect(await page(second, '/cgi-bin/note')).toBe('kept')
    second.qemu.kill('SIGKILL')
    await second.ended
    expect(await serial(second)).not.toContain('power cut')

    const third = await start({ directory, disk, seed: ['-cdrom', seed], guestPort: 80, memoryMiB: 128 })
    expect((await page(third, '/boot-count', 60_000)).trim()).toBe('3')
    expect(await serial(third)).toContain('swarmvirt-guest: previous shutdown was a power cut')
    await pressPowerButton(third, 30_000)
  })
})
