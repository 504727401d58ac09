import { describe, expect, it } from 'vitest'
import { probeArguments } from '../../src/agent/kvm-probe/command.ts'
import { judgeKvm, type KvmFailure, type ProbeRun } from '../../src/agent/kvm-probe/judge.ts'

const ended = (ms: number, exitCode: number | null = 85): ProbeRun => ({ exitCode, ms })
const hung = (ms = 2_000): ProbeRun => ({ timedOut: true, ms })

describe('judging KVM by the probe’s two runs', () => {
  const rows: [string, ProbeRun, ProbeRun, KvmFailure | 'works'][] = [
    ['as fast as TCG', ended(80), ended(80), 'works'],
    ['jitter beside a quick TCG', ended(50), ended(1_000), 'works'],
    ['just over a quick TCG’s limit', ended(50), ended(1_001), 'KvmSlow'],
    ['five times a slow TCG', ended(300), ended(1_500), 'works'],
    ['more than five times a slow TCG', ended(300), ended(1_501), 'KvmSlow'],
    ['over 2 s, however slow TCG is', ended(5_000), ended(2_001), 'KvmSlow'],
    ['no end within the limit', ended(80), hung(), 'KvmHangs'],
    ['a wrong answer of the guest', ended(80), ended(80, 35), 'KvmFails'],
    ['a triple fault', ended(80), ended(80, 0), 'KvmFails'],
    ['QEMU refuses the descriptor', ended(80), ended(20, 1), 'KvmFails'],
    ['QEMU aborts', ended(80), ended(20, null), 'KvmFails'],
    ['TCG fails as well', ended(20, 1), ended(80), 'ProbeBroken'],
    ['TCG hangs', hung(10_000), ended(80), 'ProbeBroken'],
  ]
  it.each(rows)('%s', (_what, tcg, kvm, verdict) => {
    const judgement = judgeKvm({ tcg, kvm })
    expect(judgement.works ? 'works' : judgement.reason).toBe(verdict)
  })

  it('shows both times, and the relevant line of QEMU’s output', () => {
    const stderr = 'qemu: warning: no feature\nKVM internal error. Suberror: 1\nRAX=00\n'
    const judgement = judgeKvm({ tcg: ended(80), kvm: { ...hung(), stderr } })
    expect(judgement).toEqual({
      works: false,
      reason: 'KvmHangs',
      message:
        "the probe's guest did not end within 2000 ms under KVM; under TCG it took 80 ms. QEMU reported: KVM internal error. Suberror: 1",
    })
  })
})

describe('the probe’s command', () => {
  it('takes KVM from a descriptor and opens no device by path', () => {
    const args = probeArguments({ accelerator: { kind: 'kvm', fd: 4 }, image: '/run/probe.img', machine: 'pc-q35-10.0' })
    expect(args.join(' ')).toContain('-add-fd fd=4,set=7 -accel kvm,device=/dev/fdset/7 -cpu host')
    expect(args.join(' ')).not.toContain('/dev/kvm')
  })

  it('escapes commas of the path, which would else begin an option', () => {
    const args = probeArguments({ accelerator: { kind: 'tcg' }, image: '/a,readonly=off', machine: 'q35' })
    expect(args).toContain('file=/a,,readonly=off,format=raw,if=virtio,readonly=on')
  })
})
