/** One hostile or only broken manifest for every seed, always the same. */
export function mutation(seed: number): Uint8Array {
  const random = generator(seed)
  const pick = <T>(from: readonly [T, ...T[]]): T => from[random(from.length)] ?? from[0]
  let text = pick(corpus)
  for (let count = 1 + random(4); count > 0; count -= 1) text = pick(mutators)(text, random)
  const bytes = new TextEncoder().encode(text.slice(0, 300_000))
  if (random(10) > 0 || bytes.length === 0) return bytes
  // The rest is what no text can be: bytes of anything.
  for (let count = 1 + random(4); count > 0; count -= 1) bytes[random(bytes.length)] = random(256)
  return bytes
}

/** An integer from 0 to `limit` - 1. */
type Random = (limit: number) => number
type Mutator = (text: string, random: Random) => string

/** mulberry32. */
function generator(seed: number): Random {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

const web = `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: {name: web, labels: {team: "a\\tb", 'of': 'us'}}
spec:
  memory: 512Mi
  cpu: {cores: 1}
  disks:
    - {name: root, size: 1Gi, image: {source: images/tiny.qcow2}}
  networks:
    - name: lan
      bridge: br0
      mac: 52:54:00:12:34:56
`
const script = `${web}  cloudInit:
    sshAuthorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk me]
    userData: |-
      #cloud-config
      runcmd:
        - [sh, -c, "echo {a: [b"]
`
const corpus: readonly [string, ...string[]] = [
  web,
  script,
  `# two\n${web}---\n${script.replaceAll('web', 'db')}...\n`,
  web.replaceAll('\n', '\r\n'),
  `anchors: &a [x, &b {y: *a}]\n<<: *b\n${web}`,
  `%YAML 1.2\n---\n${web}`,
  '- - - a\n- ? b\n  : c\n- |\n  d\n- >+\n  e\n\n- "f\n  g"\n',
  '{a: [b, {c: d}], "e": \'f\', ? g : h}',
  'apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n',
  '',
]

/** Strings with a special meaning in YAML or JavaScript, or that break encodings. */
const tokens: readonly [string, ...string[]] = [
  '[',
  ']',
  '{',
  '}',
  ',',
  ':',
  '?',
  '-',
  '&',
  '*',
  '!',
  '|',
  '>',
  '#',
  '%',
  '@',
  '`',
  '"',
  "'",
  '\\',
  '\n',
  '\t',
  '\r',
  '~',

  ' ',
  '\n',
  '  ',
  ': ',
  '- ',
  '? ',
  ' #',
  '---\n',
  '...\n',
  '\n---\n',
  '\r\n',
  '[]',
  '{}',
  '""',
  '&a ',
  '*a',
  '*a ',
  '<<: *a\n',
  '!!str ',
  '!!binary ',
  '!<',
  '!x ',

  '%YAML 1.1\n---\n',
  '%TAG ! x\n',
  '|\n',
  '>-\n',
  '|9\n',
  '"\\ud800"',
  '"\\U0010ffff"',
  '"\\0"',
  '\\x',
  '\0',
  '\u001b[2J',
  '\ufeff',
  '\u0085',
  '\u2028',
  '\u202e',
  '😀',
  '\ud800',

  '__proto__: ',
  'constructor: ',
  'prototype: ',
  'toString: ',
  '{__proto__: {x: 1}}',
  'constructor: {prototype: {x: 1}}',
  'hasOwnProperty',
  'valueOf',
  'length',

  'null',
  'true',
  '0o17',
  '0x1f',
  '1e999',
  '.inf',
  '-.nan',
  '9'.repeat(400),
  '2001-01-01',
  '1_000',
  '12:30:45',
  'apiVersion: ',
  'spec:\n',
  'name: ',
]

function at(text: string, random: Random): number {
  return random(text.length + 1)
}

function token(random: Random): string {
  return tokens[random(tokens.length)] ?? ''
}

const mutators: readonly [Mutator, ...Mutator[]] = [
  (text, random) => splice(text, at(text, random), 0, token(random)),
  (text, random) => splice(text, at(text, random), 1, token(random)),
  (text, random) => splice(text, at(text, random), random(30), ''),
  (text, random) => splice(text, at(text, random), 0, `${token(random)}${token(random)}`.repeat(1 + random(30))),
  (text, random) => splice(text, at(text, random), 0, text.slice(at(text, random)).slice(0, random(200))),
  (text, random) => lines(text, random, (line) => `${line}\n${line}`),
  (text, random) => lines(text, random, (line) => `${' '.repeat(random(12))}${line}`),
  (text, random) => lines(text, random, (line) => line.replace(/^ +/, '')),
  (text, random) => lines(text, random, (line) => line.replace(/: .*/, `: ${token(random)}`)),
  (text, random) => lines(text, random, (line) => line.replace(/[a-zA-Z]+:/, token(random))),
  // One in many is large: these cost the most.
  (text, random) =>
    random(12) > 0 ? text : splice(text, at(text, random), 0, `${token(random)}${token(random)}`.repeat(random(60_000))).slice(0, 262_144),
  (text, random) => (random(12) > 0 ? text : ladder(text, random)),
]

function splice(text: string, from: number, removed: number, added: string): string {
  return `${text.slice(0, from)}${added}${text.slice(from + removed)}`
}

function lines(text: string, random: Random, change: (line: string) => string): string {
  const all = text.split('\n')
  const chosen = random(all.length)
  return all.map((line, index) => (index === chosen ? change(line) : line)).join('\n')
}

/** Ever deeper lines. */
function ladder(text: string, random: Random): string {
  const [step, what] = [random(4), token(random)]
  return `${text}\n${Array.from({ length: random(400) }, (_, index) => `${' '.repeat(index * step)}${what}a:`).join('\n')}`
}
