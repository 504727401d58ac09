import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eventStream } from '../../../src/adapters/controller-api/event-stream.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('an event stream', () => {
  it('is its events, without comments and what nobody asks for', () => {
    const text = ': alive\n\nevent: vm\r\nid: 4\r\ndata: {"a":1}\r\n\r\ndata:b\ndata: c\n\nevent: empty\n\nevent: gone\ndata: x'
    expect(eventStream(1_000).push(bytes(text))).toEqual([
      { event: 'vm', data: '{"a":1}' },
      { event: 'message', data: 'b\nc' },
    ])
  })

  it('is the same however it is cut', () => {
    const event = fc.record({ event: fc.constantFrom('vm', 'gone'), data: fc.json() })
    fc.assert(
      fc.property(fc.array(event, { maxLength: 5 }), fc.integer({ min: 1, max: 9 }), (events, size) => {
        const all = bytes(events.map((one) => `: x\n\nevent: ${one.event}\ndata: ${one.data}\n\n`).join(''))
        const stream = eventStream(10_000)
        const read = []
        for (let start = 0; start < all.length; start += size) read.push(...stream.push(all.slice(start, start + size)))
        expect(read).toEqual(events)
      }),
    )
  })

  it.each([
    ['a line without end', 'x'.repeat(600)],
    ['lines without end', 'data: 0123456789\n'.repeat(40)],
  ])('is refused for %s', (_what, text) => {
    const stream = eventStream(1_000)
    stream.push(bytes(text))
    expect(() => stream.push(bytes(text))).toThrow(/larger than 1000 bytes/)
  })
})
