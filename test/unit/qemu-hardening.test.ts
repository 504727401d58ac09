import { expect, test } from 'vitest'
import type { QemuInputs } from '../../runner/devices/inputs.ts'
import { qemuArguments } from '../../runner/qemu-arguments.ts'
import { uid } from './runner-fakes.ts'
import { aMac } from '../support/branded.ts'

function inputs(changes: Partial<QemuInputs> = {}): QemuInputs {
  const nic = { name: 'lan', tap: 'sv0123456789ab', bridge: 'br0', mac: aMac('52:54:00:12:34:56'), mtu: 1500 }
  return {
    uid,
    vm: 'web-1',
    machineType: 'pc-q35-10.0',
    cpu: { sockets: 1, cores: 1, threads: 1, model: undefined },
    memoryMiB: 128,
    accelerator: 'kvm',
    kvmFd: 5,
    disks: [{ name: 'root', path: '/vm/disks/root.qcow2', slot: 10, readOnly: false }],
    nics: [{ nic, fd: 6, slot: 2 }],
    seedPath: '/tmp/seed-x/seed.iso',
    qmpFd: 3,
    serialFd: 4,
    agentFd: 5,
    ...changes,
  }
}

const lines = [inputs(), inputs({ accelerator: 'tcg', kvmFd: undefined, nics: [] })].map(qemuArguments)

test.each(lines)('QEMU reads no configuration of the host and creates no device that is not named (%#)', (...args) => {
  expect(args).toEqual(expect.arrayContaining(['-nodefaults', '-no-user-config']))
  // `-nodefaults` leaves the floppy controller, the VGA and the USB controller of a q35 machine out; these are said as well.
  expect(args[args.indexOf('-machine') + 1]).toMatch(/(^|,)usb=off(,|$)/)
  expect(args[args.indexOf('-machine') + 1]).toMatch(/(^|,)graphics=off(,|$)/)
  expect(args[args.indexOf('-display') + 1]).toBe('none')
})

test.each(lines)('QEMU denies itself all that its sandbox can deny (%#)', (...args) => {
  const sandbox = new Set(args[args.indexOf('-sandbox') + 1]?.split(','))
  expect(sandbox).toEqual(new Set(['on', 'obsolete=deny', 'elevateprivileges=deny', 'spawn=deny', 'resourcecontrol=deny']))
})

test.each(lines)('devices, disks and objects are JSON, so that no value can add an option (%#)', (...args) => {
  const json = args.flatMap((one, index) => (['-device', '-blockdev', '-object'].includes(one) ? [args[index + 1] ?? ''] : []))
  expect(json.length).toBeGreaterThan(5)
  for (const one of json) expect(() => JSON.parse(one) as unknown).not.toThrow()
})

test.each(lines)('there is no floppy, VGA, USB or sound device, no network listener and no monitor beyond QMP (%#)', (...args) => {
  const text = args.join(' ')
  expect(text).not.toMatch(/floppy|fdc|\bvga\b|VGA|qxl|usb-|xhci|ehci|uhci|hda|AC97|\bnbd|vnc|spice|telnet|tcp:|udp:|\bgdb\b/)
  expect(args.filter((one) => one === '-mon' || one === '-monitor' || one === '-qmp')).toEqual(['-mon'])
  expect(args.filter((one) => one === '-drive' || one === '-net' || one === '-nic' || one === '-hda' || one === '-readconfig')).toEqual([])
})
