/**
 * The probes of an attacker with the runner's uid in its task. The program prints one JSON object, from the name of each probe to how it
 * ended. It is plain JavaScript, since the image's Node runs it with `-e` as CommonJS.
 */
export const probeProgram = String.raw`
const fs = require('node:fs'), net = require('node:net'), dgram = require('node:dgram'), dns = require('node:dns')
const koffi = require('/opt/swarmvirt/node_modules/koffi')
const libc = koffi.load('libc.so.6')
const results = {}
const errnoName = (n) => Object.entries(require('node:os').constants.errno).find(([, value]) => value === n)?.[0] ?? 'errno ' + n
const note = (name, text) => { results[name] = text }
/** A call of libc that returns -1 where it is refused. */
const call = (name, declaration, ...args) => {
  const result = libc.func(declaration)(...args)
  note(name, Number(result) === -1 ? errnoName(koffi.errno()) : 'SUCCEEDED with ' + result)
}
const file = (name, attempt) => { try { const got = attempt(); note(name, 'SUCCEEDED' + (got === undefined ? '' : ' with ' + String(got).slice(0, 100))) } catch (error) { note(name, error.code ?? String(error)) } }
const numbers = { x64: { finit: 313, kexec: 246, bpf: 321, perf: 298, addKey: 248, keyctl: 250, handle: 304, userfault: 323, pivot: 155, quota: 179 },
  arm64: { finit: 273, kexec: 104, bpf: 280, perf: 241, addKey: 217, keyctl: 219, handle: 265, userfault: 282, pivot: 41, quota: 60 } }[process.arch]
const sys = (name, number, ...args) => call(name, 'int64_t syscall(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t)', number, ...args, ...Array(5 - args.length).fill(0))

// The files of the task.
file('write to the root file system', () => fs.writeFileSync('/x', ''))
file('replace a program of the image', () => fs.writeFileSync('/opt/swarmvirt/runner.cjs', ''))
file('change the users', () => fs.appendFileSync('/etc/passwd', 'x'))
file('read the password hashes', () => fs.readFileSync('/etc/shadow'))
file('change the launch config', () => fs.writeFileSync('/run/swarmvirt/launch.json', '{}'))
file('change the own identity', () => fs.writeFileSync('/vm/identity.json', '{}'))
file('replace the own identity', () => fs.renameSync('/vm/run/serial.log', '/vm/identity.json'))
file('create a file beside the identity', () => fs.writeFileSync('/vm/x', ''))
file('change a base image', () => { for (const one of fs.readdirSync('/vm/images')) fs.writeFileSync('/vm/images/' + one, '') ; if (fs.readdirSync('/vm/images').length === 0) throw Object.assign(new Error(), { code: 'NO IMAGE' }) })
file('replace a base image', () => fs.renameSync('/vm/images/' + fs.readdirSync('/vm/images')[0], '/vm/run/image'))
file('create a file beside the broker', () => fs.writeFileSync('/broker/x', ''))
file('replace the broker', () => fs.unlinkSync('/broker/broker.sock'))
file('give a file to root', () => { fs.writeFileSync('/vm/run/probe', ''); try { fs.chownSync('/vm/run/probe', 0, 0) } finally { fs.unlinkSync('/vm/run/probe') } })
file('list the VMs of the node', () => fs.readdirSync('/var/lib/swarmvirt'))
file('find the admin socket of the broker', () => fs.statSync('/broker/../admin/broker.sock'))
file('run a program as another user', () => { fs.copyFileSync('/usr/bin/setpriv', '/tmp/setpriv'); fs.chmodSync('/tmp/setpriv', 0o755); try { return require('node:child_process').execFileSync('/usr/bin/setpriv', ['--reuid', '0', 'id', '-u'], { stdio: 'pipe' }) } catch (error) { throw Object.assign(error, { code: /not permitted/.test(String(error.stderr)) ? 'EPERM' : String(error.stderr) }) } })
file('fill more than the scratch space', () => { const fd = fs.openSync('/tmp/filler', 'w'); try { for (let n = 0; n < 80; n += 1) fs.writeSync(fd, Buffer.alloc(1024 * 1024)) } finally { fs.closeSync(fd); fs.unlinkSync('/tmp/filler') } })
file('fill more than shared memory', () => { const fd = fs.openSync('/dev/shm/filler', 'w'); try { for (let n = 0; n < 80; n += 1) fs.writeSync(fd, Buffer.alloc(1024 * 1024)) } finally { fs.closeSync(fd); fs.unlinkSync('/dev/shm/filler') } })

// Docker, devices and the kernel's files.
for (const [name, path] of [['open KVM', '/dev/kvm'], ['open TUN', '/dev/net/tun'], ['open vhost', '/dev/vhost-net'], ['open memory', '/dev/mem'], ['open a disk of the host', '/dev/vda']])
  file(name, () => fs.closeSync(fs.openSync(path, 'r+')))
file('read the kernel’s memory', () => fs.readSync(fs.openSync('/proc/kcore', 'r'), Buffer.alloc(1)) || (() => { throw Object.assign(new Error(), { code: 'EACCES' }) })())
file('set the core pattern', () => fs.writeFileSync('/proc/sys/kernel/core_pattern', '|/x'))
file('forward packets', () => fs.writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'))
file('press a magic key', () => fs.writeFileSync('/proc/sysrq-trigger', 'h'))
file('raise the own memory limit', () => fs.writeFileSync(fs.existsSync('/sys/fs/cgroup/memory') ? '/sys/fs/cgroup/memory/memory.limit_in_bytes' : '/sys/fs/cgroup/memory.max', '9000000000'))
file('raise the own limit of processes', () => fs.writeFileSync(fs.existsSync('/sys/fs/cgroup/pids') ? '/sys/fs/cgroup/pids/pids.max' : '/sys/fs/cgroup/pids.max', 'max'))
file('leave the own cgroup', () => fs.writeFileSync(fs.existsSync('/sys/fs/cgroup/pids') ? '/sys/fs/cgroup/pids/cgroup.procs' : '/sys/fs/cgroup/cgroup.procs', '1'))
file('see processes of others', () => {
  const names = fs.readdirSync('/proc').filter((one) => /^\d+$/.test(one)).map((pid) => { try { return fs.readFileSync('/proc/' + pid + '/comm', 'utf8').trim() } catch { return '' } })
  const others = names.filter((one) => /dockerd|containerd|systemd|sshd/.test(one))
  if (others.length === 0) throw Object.assign(new Error(), { code: 'ENOENT' })
  return others.join()
})
file('find a token in the environment', () => {
  const found = Object.keys(process.env).filter((key) => /token|key|secret|password|swarmvirt/i.test(key))
  if (found.length === 0) throw Object.assign(new Error(), { code: 'ENOENT' })
  return found.join()
})
file('find a secret of swarmvirt', () => { const found = fs.readdirSync('/run/secrets').filter((one) => one !== 'userdata'); if (found.length === 0) throw Object.assign(new Error(), { code: 'ENOENT' }); return found.join() })

// System calls.
call('become root', 'int setuid(uint32_t)', 0)
call('become another group', 'int setgid(uint32_t)', 0)
call('mount a file system', 'int mount(const char *, const char *, const char *, uint64_t, const void *)', 'none', '/tmp', 'tmpfs', 0, null)
call('mount a directory again, writable', 'int mount(const char *, const char *, const char *, uint64_t, const void *)', 'none', '/broker', '', 4096 | 32, null)
call('unmount a directory', 'int umount2(const char *, int)', '/broker', 2)
call('create a user namespace', 'int unshare(int)', 0x10000000)
call('create a mount namespace', 'int unshare(int)', 0x20000)
call('create a network namespace', 'int unshare(int)', 0x40000000)
call('change the root directory', 'int chroot(const char *)', '/tmp')
call('create a device node', 'int mknod(const char *, uint32_t, uint64_t)', '/tmp/kvm', 0o20666, 10 * 256 + 232)
call('create a device node on the disk', 'int mknod(const char *, uint32_t, uint64_t)', '/vm/disks/kvm', 0o20666, 10 * 256 + 232)
call('set the host name', 'int sethostname(const char *, size_t)', 'x', 1)
call('read the kernel’s log', 'int klogctl(int, void *, int)', 3, Buffer.alloc(4096), 4096)
call('swap to a file', 'int swapon(const char *, int)', '/tmp/x', 0)
call('account processes', 'int acct(const char *)', '/tmp/x')
call('restart the machine', 'int reboot(int)', 0)
call('turn off address randomization', 'int personality(uint64_t)', 0x0040000)
call('take priority over others', 'int setpriority(int, uint32_t, int)', 0, 0, -20)
call('run in real time', 'int sched_setscheduler(int, int, const void *)', 0, 1, Buffer.from([1, 0, 0, 0]))
call('set the clock', 'int clock_settime(int, const void *)', 0, (() => { const now = Buffer.alloc(16); now.writeBigInt64LE(BigInt(Math.floor(Date.now() / 1000))); return now })())
call('send raw IP packets', 'int socket(int, int, int)', 2, 3, 255)
call('send raw Ethernet frames', 'int socket(int, int, int)', 17, 3, 768)
sys('pivot the root directory', numbers.pivot)
sys('load a kernel module', numbers.finit, -1)
sys('load another kernel', numbers.kexec)
sys('load a BPF program', numbers.bpf, 5)
sys('measure the kernel', numbers.perf)
sys('add a key to the kernel', numbers.addKey)
sys('read keys of the kernel', numbers.keyctl, 0)
sys('open a file by its handle', numbers.handle, -100)
sys('handle page faults', numbers.userfault)
sys('set quotas', numbers.quota)
sys('open a file system', 430)
sys('open a tree of mounts', 428, -100)
{
  const fd = libc.func('int socket(int, int, int)')(2, 2, 0)
  const request = Buffer.alloc(40); request.write('eth0'); request.writeUInt16LE(0, 16)
  call('take an interface down', 'int ioctl(int, uint64_t, void *)', fd, 0x8914, request)
  const own = fs.openSync('/proc/1/ns/net', 'r')
  call('enter a namespace', 'int setns(int, int)', own, 0)
}

// The network and the sockets of others.
const connected = (name, target) => new Promise((resolve) => {
  const socket = net.connect(target)
  const end = (text) => { clearTimeout(timer); socket.destroy(); note(name, text); resolve() }
  const timer = setTimeout(() => end('ETIMEDOUT'), 3000)
  socket.on('connect', () => end('SUCCEEDED')).on('error', (error) => end(error.code))
})
/** Sends lines to the broker as another program would, and collects its answers until it closes the connection. */
const broker = (name, frames) => new Promise((resolve) => {
  const socket = net.connect('/broker/broker.sock'); let said = ''
  const end = () => { clearTimeout(timer); socket.destroy(); const types = [...said.matchAll(/"type":"(\w+)"/g)].map(([, type]) => type); note(name, types.some((one) => ['granted', 'ok', 'leases', 'sightings', 'opened'].includes(one)) ? 'SUCCEEDED with ' + said.slice(0, 200) : 'EACCES') ; resolve() }
  const timer = setTimeout(end, 3000)
  socket.on('data', (bytes) => { said += bytes }).on('error', end).on('close', end)
  for (const frame of frames) socket.write(JSON.stringify(frame) + '\n')
})
const sent = (name, host, port) => new Promise((resolve) => { const socket = dgram.createSocket('udp4'); socket.send('x', port, host, (error) => { socket.close(); note(name, error === null ? 'SUCCEEDED' : error.code); resolve() }) })
const main = async () => {
  const [node, uid] = process.argv.slice(1)
  await connected('ask Docker', { path: '/var/run/docker.sock' })
  await connected('ask Docker at its other path', { path: '/run/docker.sock' })
  await connected('call the Docker API of the node', { host: node, port: 2375 })
  await connected('call the controller', { host: node, port: 9471 })
  await connected('call the agent', { host: node, port: 9472 })
  await connected('call SSH of the node', { host: node, port: 22 })
  await connected('read the cloud’s metadata', { host: '169.254.169.254', port: 80 })
  await sent('send a frame into an overlay', node, 4789)
  await new Promise((resolve) => new dns.Resolver({ timeout: 1000, tries: 1 }).resolve4('example.com', (error, found) => { note('resolve a name', error ? error.code : 'SUCCEEDED with ' + found); resolve() }))
  const other = '99999999-9999-4999-8999-999999999999'
  const hello = { type: 'hello', protocol: 'swarmvirt.broker-runner', version: 1, uid }
  await broker('take the lease of another VM', [{ ...hello, uid: other }, { type: 'acquire' }])
  await broker('take the own lease twice', [hello, { type: 'acquire' }])
  await broker('claim a TAP without its descriptor', [hello, { type: 'reclaim', taps: ['sv0123456789ab'] }])
  await broker('give itself a grant', [hello, { id: 1, type: 'grant', grant: { version: 1, uid, vm: 'x', accelerator: 'kvm', nics: [] } }])
  await broker('list the leases', [{ id: 1, type: 'leases' }])
  await broker('open KVM as the agent does', [{ id: 1, type: 'kvm' }])
  console.log(JSON.stringify(results))
}
void main()
`

/** The task's limits as the kernel reports them, from inside. */
export const readBackProgram = String.raw`
const fs = require('node:fs')
const read = (...paths) => { for (const path of paths) try { return fs.readFileSync(path, 'utf8').trim() } catch {} return '' }
const status = Object.fromEntries(read('/proc/self/status').split('\n').map((line) => line.split(/:\s+/)))
const mounts = read('/proc/self/mounts').split('\n').map((line) => line.split(' '))
const real = mounts.filter(([, , type]) => !['proc', 'sysfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2'].includes(type))
const listening = read('/proc/net/tcp').split('\n').concat(read('/proc/net/tcp6').split('\n')).map((line) => line.trim().split(/\s+/)).filter((one) => one[3] === '0A').map((one) => one[1])
console.log(JSON.stringify({
  status: Object.fromEntries(['Uid', 'Gid', 'Groups', 'CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp'].map((key) => [key, (status[key] ?? '').trim().split(/\s+/).join(' ')])),
  // Docker hides some files of /proc behind mounts that only root can write.
  writable: real.filter(([, path]) => { try { fs.accessSync(path, fs.constants.W_OK); return true } catch { return false } }).map(([, path]) => path).sort(),
  sizes: Object.fromEntries(mounts.filter(([, , type]) => type === 'tmpfs').map(([, path, , options]) => [path, /size=(\d+k)/.exec(options)?.[1] ?? ''])),
  pids: read('/sys/fs/cgroup/pids/pids.max', '/sys/fs/cgroup/pids.max'),
  memory: read('/sys/fs/cgroup/memory/memory.limit_in_bytes', '/sys/fs/cgroup/memory.max'),
  interfaces: Object.keys(require('node:os').networkInterfaces()).sort(),
  listening,
  vm: fs.readdirSync('/vm').sort(),
  environment: Object.keys(process.env).sort(),
}))
`
