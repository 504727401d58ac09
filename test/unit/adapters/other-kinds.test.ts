import { describe, expect, it } from 'vitest'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import { aStore } from '../controller/a-store.ts'
import type { SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'
import { virtualClock } from '../controller/virtual-clock.ts'

const ours = 'apiVersion: swarmvirt.dev/v1alpha1\n'
const web = `${ours}kind: VirtualMachine
metadata: {name: web}
spec:
  memory: 512Mi
  disks: [{name: root, size: 1Gi, image: {source: images/tiny.qcow2}}]
  networks: [{name: lan, bridge: br0}]
`
const named = (name: string): string => web.replace('web', name)
const deployment = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {replicas: 1}\n'
const compose = 'name: web\nservices:\n  web: {image: nginx}\n'

const parse = manifestReader()
function read(files: Readonly<Record<string, string>>): SourceSnapshot {
  const documents = Object.entries(files).flatMap(([file, text]) => parse('directory', file, new TextEncoder().encode(text)))
  return { source: 'directory', complete: true, message: '', documents }
}

/** For each document its VM, its kind, or its first error. */
function said(text: string): readonly string[] {
  return read({ a: text }).documents.map((one) => {
    if (one.ok) return 'vm' in one ? one.vm.metadata.name : 'a class'
    return one.otherKind ?? `${one.issues[0]?.code} ${one.name ?? ''}`.trimEnd()
  })
}

describe('a document of another kind', () => {
  it.each([
    ['a Deployment', deployment, 'apps/v1 Deployment'],
    ['a ConfigMap', 'apiVersion: v1\nkind: ConfigMap\n', 'v1 ConfigMap'],
    [
      'a VirtualMachine of another project',
      deployment.replace('apps/v1', 'kubevirt.io/v1').replace('Deployment', 'VirtualMachine'),
      'kubevirt.io/v1 VirtualMachine',
    ],
    ['a compose file', compose, 'no kind'],
    ['a pipeline that has a kind alone', 'kind: pipeline\nname: web\n', 'pipeline'],
    ['a playbook', '- hosts: all\n  tasks: []\n', 'a list'],
    ['JSON', '{\n\t"name": "web",\n\t"scripts": {"test": "x"}\n}\n', 'no kind'],
    ['an API version without a kind', 'apiVersion: kustomize.config.k8s.io/v1beta1\nresources: []\n', 'kustomize.config.k8s.io/v1beta1'],
  ])('is not mistaken for a VM: %s', (_what, text, kind) => {
    expect(said(text)).toEqual([kind])
  })

  it.each([
    ['a misspelt kind', web.replace('VirtualMachine', 'VirtualMachin'), 'VM005 web'],
    ['a kind in other letters', web.replace('VirtualMachine', 'virtualmachine'), 'VM005 web'],
    ['a misspelt group', web.replace('swarmvirt.dev', 'swarmvrt.dev'), 'VM005 web'],
    ['a version that is not ours yet', web.replace('v1alpha1', 'v2'), 'VM005 web'],
    ['another kind with our version', web.replace('VirtualMachine', 'Deployment'), 'VM005 web'],
    ['our kind with a version of no group', web.replace('swarmvirt.dev/v1alpha1', 'v1'), 'VM005 web'],
    ['our kind without a version', web.replace(ours, ''), 'VM005 web'],
    ['no kind', web.replace('kind: VirtualMachine\n', ''), 'VM005 web'],
    ['no head at all', web.split('\n').slice(2).join('\n'), 'VM005 web'],
    ['a kind that is no text', web.replace('VirtualMachine', '[1]'), 'VM005 web'],
    ['a text', 'hello\n', 'VM005'],
    ['half of the first word', 'apiV', 'VM005'],
    ['a List in a List, which may hold VMs', 'apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]\n', 'VM005'],
  ])('is not what may be a VM with a mistake in its head: %s', (_what, text, error) => {
    expect(said(text)).toEqual([error])
  })

  it('stands beside VMs in one file, and in a List', () => {
    expect(said(`${deployment}---\n${web}---\n${compose}`)).toEqual(['apps/v1 Deployment', 'web', 'no kind'])
    const items = [deployment, web].map((text) => `- ${text.trimEnd().replaceAll('\n', '\n  ')}\n`)
    expect(said(`apiVersion: v1\nkind: List\nitems:\n${items.join('')}`)).toEqual(['apps/v1 Deployment', 'web'])
  })
})

describe('a VM beside a document of another kind', () => {
  const graceMs = 60_000
  function bench() {
    const clock = virtualClock()
    const store = aStore({ sources: 1, removalGraceMs: graceMs }, clock)
    store.setOwnedVms(new Map())
    return { clock, store, kind: (): string => store.get('web').kind }
  }

  it('is made, although that has its name and stands before it', () => {
    const { store, kind } = bench()
    store.fold(read({ 'a-deploy.yaml': deployment, 'web.yaml': web }))
    expect([kind(), store.state().issues]).toEqual(['present', []])
  })

  it.each([
    ['a Deployment of its name that was there', { 'a.yaml': deployment }, { 'a.yaml': deployment }],
    ['a compose file that came with the deletion', {}, { 'compose.yaml': compose }],
    ['a Deployment in its own file', {}, { 'web.yaml': deployment }],
  ])('is removed when its manifest is gone: %s', async (_what, before, after) => {
    const { clock, store, kind } = bench()
    store.fold(read({ ...before, 'web.yaml': web, 'db.yaml': named('db') }))
    store.fold(read({ ...after, 'db.yaml': named('db') }))
    await clock.pass(graceMs)
    store.fold(read({ ...after, 'db.yaml': named('db') }))
    expect(kind()).toBe('removed')
  })

  it('is removed by a controller that was away when its manifest went', async () => {
    const { clock, store, kind } = bench()
    store.setOwnedVms(new Map([['web', { generation: 'g', source: 'directory' }]]))
    const now = read({ 'compose.yaml': compose, 'db.yaml': named('db') })
    store.fold(now)
    await clock.pass(graceMs)
    store.fold(now)
    expect(kind()).toBe('removed')
  })

  it('stays while its own head has a mistake', async () => {
    const { clock, store, kind } = bench()
    store.fold(read({ 'web.yaml': web, 'db.yaml': named('db') }))
    for (const text of [web.split('\n').slice(2).join('\n'), web.replace('swarmvirt.dev/v1alpha1', 'v1')]) {
      store.fold(read({ 'web.yaml': text, 'db.yaml': named('db') }))
      await clock.pass(2 * graceMs)
      store.fold(read({ 'web.yaml': text, 'db.yaml': named('db') }))
      expect(kind()).toBe('present')
    }
  })
})
