import { describe, expect, it } from 'vitest'
import { affectedBy } from '../../../../src/controller/informer/event-to-keys.ts'
import type { SwarmEvent } from '../../../../src/ports/swarm.ts'

describe('a Swarm event', () => {
  const table: readonly [SwarmEvent['type'], string, object][] = [
    ['service', 'vm-web', { kind: 'vm', vm: 'web' }],
    ['service', 'vm-web-1', { kind: 'vm', vm: 'web-1' }],
    ['service', 'swarmvirt_agent', { kind: 'nodes' }],
    ['service', 'vm-', { kind: 'nodes' }],
    ['config', 'sv-vm-web', { kind: 'vm', vm: 'web' }],
    ['config', 'sv-0123456789abcdef', { kind: 'none' }],
    ['config', 'sv-lease-lab', { kind: 'lease' }],
    ['config', 'sv-times-0123456789abcdef', { kind: 'none' }],
    ['config', 'vms_web-2', { kind: 'manifests' }],
    ['config', 'sv-m-web-0a1b2c3d', { kind: 'manifests' }],
    ['node', 'n1', { kind: 'nodes' }],
    ['secret', 'sv-0123456789abcdef', { kind: 'none' }],
    ['other', '', { kind: 'none' }],
  ]
  it.each(table)('of a %s "%s" requeues %j', (type, name, hint) => {
    expect(affectedBy({ type, action: 'update', id: 'x', name })).toEqual(hint)
  })
})
