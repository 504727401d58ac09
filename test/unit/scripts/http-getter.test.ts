import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { httpGetter } from '../../lab/http-getter.ts'

const server = createServer((request, response) => {
  if (request.url !== '/silent') response.writeHead(203).end(`${request.url} ${request.headers.authorization ?? ''}`)
})
let url = ''
let starts: ReturnType<typeof spawn>[] = []
const get = httpGetter(([program = '', ...args]) => {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  starts.push(child)
  return child
})

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  for (const child of starts) child.kill()
  server.close()
})

it('asks several things at once by one program', async () => {
  const answers = await Promise.all([get(`${url}/a`), get(`${url}/b`, { token: 't' })])
  expect(answers).toEqual([
    { status: 203, body: '/a ' },
    { status: 203, body: '/b Bearer t' },
  ])
  expect(starts).toHaveLength(1)
})

it('throws where nothing answers in time, and names what was asked', async () => {
  await expect(get(`${url}/silent`, { timeoutMs: 50 })).rejects.toThrow(/\/silent: no answer in 50 ms/)
})

it('throws for what was asked of a program that was killed, and starts another one for the next', async () => {
  const asked = get(`${url}/silent`)
  starts.at(-1)?.kill('SIGKILL')
  await expect(asked).rejects.toThrow('has ended')
  expect(await get(`${url}/c`)).toEqual({ status: 203, body: '/c ' })
})
