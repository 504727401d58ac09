import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeFrame, FrameError, frameDecoder, maxFrameBytes } from '../../src/api/wire/frames.ts'

const message = fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string(), { maxLength: 5 })), {
  maxKeys: 10,
})

/** Cuts bytes at random places: sockets give what they like. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted((a, b) => a - b)
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length))
}

describe('frames', () => {
  it('arrive whole and in order, however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 20 }), (messages, places) => {
        const bytes = Buffer.concat(messages.map(encodeFrame))
        const decoder = frameDecoder()
        const got = cut(bytes, places).flatMap((chunk) => decoder.push(chunk))
        expect(JSON.stringify(got)).toBe(JSON.stringify(messages))
      }),
    )
  })

  it('refuse anything else with FrameError and nothing but that', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }), (chunks) => {
        const decoder = frameDecoder()
        try {
          for (const chunk of chunks) for (const got of decoder.push(chunk)) expect(got).toBeTypeOf('object')
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError)
        }
      }),
    )
  })

  it('are bounded: a peer that never ends its line is cut off at the limit', () => {
    const decoder = frameDecoder()
    const chunk = new Uint8Array(1024).fill(0x61)
    expect(() => {
      for (let sent = 0; sent <= maxFrameBytes; sent += chunk.length) decoder.push(chunk)
    }).toThrow(FrameError)
    expect(() => encodeFrame({ text: 'x'.repeat(maxFrameBytes) })).toThrow(FrameError)
  })
})
