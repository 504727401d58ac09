export interface StreamEvent {
  readonly event: string
  readonly data: string
}

/**
 * Parses server-sent events (WHATWG HTML, "Interpreting an event stream") from chunks of any size. Ignores comments and unused fields. Throws for an
 * event larger than `maxBytes`.
 */
export function eventStream(maxBytes: number): { push(chunk: Uint8Array): readonly StreamEvent[] } {
  const decoder = new TextDecoder()
  let rest = ''
  let event = ''
  let data: string[] = []
  let size = 0

  function take(line: string): StreamEvent | undefined {
    if (line === '') return dispatch()
    const [, field = '', value = ''] = /^([^:]*):? ?(.*)$/s.exec(line) ?? []
    if (field === 'event') event = value
    if (field === 'data') data.push(value)
    return undefined
  }

  function dispatch(): StreamEvent | undefined {
    const read = { event: event === '' ? 'message' : event, data: data.join('\n') }
    const isEmpty = data.length === 0
    event = ''
    data = []
    size = 0
    return isEmpty ? undefined : read
  }

  return {
    push(chunk) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      const events: StreamEvent[] = []
      for (const line of lines) {
        size += line.length
        const read = take(line.endsWith('\r') ? line.slice(0, -1) : line)
        if (read !== undefined) events.push(read)
        if (size > maxBytes) break
      }
      if (size + rest.length > maxBytes) throw new Error(`an event is larger than ${maxBytes} bytes`)
      return events
    },
  }
}
