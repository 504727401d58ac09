import { buildGuest, type GuestName } from './build-guest.ts'

const GUESTS: Record<string, readonly GuestName[]> = {
  tiny: ['tiny'],
  debian: ['debian'],
  'tiny-uefi': ['tiny-uefi'],
  all: ['tiny', 'debian', 'tiny-uefi'],
}

const [verb, which = ''] = process.argv.slice(2)
const guests = GUESTS[which]
if (verb !== 'build' || guests === undefined) {
  process.stderr.write('usage: node test/lab/guests/main.ts build tiny|debian|tiny-uefi|all\n')
  process.exitCode = 64
} else {
  for (const name of guests) process.stdout.write(`${(await buildGuest(name)).path}\n`)
}
