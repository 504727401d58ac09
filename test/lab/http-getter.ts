/** GETs from a namespace of the lab. One process there asks for all of them: to start Node takes more than a GET does. */
import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export interface HttpQuestion {
  readonly url: string
  readonly token: string
  readonly fingerprint: string
  readonly timeoutMs: number
}

export interface HttpAnswer {
  readonly status: number
  readonly body: string
}

type Line = { readonly id: number } & (HttpAnswer | { readonly error: string })

/** Throws when nothing answers in `timeoutMs`, 5 s unless another time is given. */
export type HttpGet = (url: string, how?: Partial<Omit<HttpQuestion, 'url'>>) => Promise<HttpAnswer>

const program = join(import.meta.dirname, 'http-get.ts')

/** `start` runs the program in its namespace, with pipes. It ends with this process, and is started again when it was killed. */
export function httpGetter(start: (argv: readonly string[]) => ChildProcess): HttpGet {
  let asker: Asker | undefined
  return async (url, how = {}) => {
    if (asker === undefined || asker.isOver) asker = new Asker(start([process.execPath, program]))
    const { status, body } = await asker.ask({ token: '', fingerprint: '', timeoutMs: 5_000, ...how, url })
    return { status, body }
  }
}

class Asker {
  isOver = false
  #lastId = 0
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<HttpAnswer>>()

  constructor(child: ChildProcess) {
    this.#child = child
    child.unref()
    child.stdin?.on('error', () => undefined)
    for (const pipe of [child.stdin, child.stdout] as Socket[]) pipe.unref()
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.#hear(JSON.parse(line) as Line))
    child.on('error', (error) => this.#end(error))
    child.on('close', (code, signal) => this.#end(new Error(`the program that asks has ended: ${signal ?? code}`)))
  }

  ask(question: HttpQuestion): Promise<HttpAnswer> {
    const answer = Promise.withResolvers<HttpAnswer>()
    this.#lastId += 1
    this.#waiting.set(this.#lastId, answer)
    // While an answer is due, this process does not end. The child counts too: when it dies, its end is the answer.
    this.#child.ref()
    ;(this.#child.stdout as Socket).ref()
    this.#child.stdin?.write(`${JSON.stringify({ ...question, id: this.#lastId })}\n`)
    return answer.promise.catch((error: Error) => {
      throw new Error(`${question.url}: ${error.message}`)
    })
  }

  #hear(line: Line): void {
    const answer = this.#waiting.get(line.id)
    this.#waiting.delete(line.id)
    if ('error' in line) answer?.reject(new Error(line.error))
    else answer?.resolve(line)
    if (this.#waiting.size > 0) return
    this.#child.unref()
    ;(this.#child.stdout as Socket).unref()
  }

  #end(error: Error): void {
    this.isOver = true
    for (const answer of this.#waiting.values()) answer.reject(error)
    this.#waiting.clear()
  }
}
