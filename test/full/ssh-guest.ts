import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { containerOf, otherNode } from '../e2e/support.ts'
import type { Deployment } from '../lab/deployment.ts'
import { buildGuest } from '../lab/guests/build-guest.ts'
import { must, until } from '../lab/run.ts'

const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'ConnectTimeout=5'].flatMap((one) => ['-o', one])

/** The Debian guest on the lab's web server, and the key that logs in to it. */
export interface SshGuest {
  readonly image: { readonly source: string; readonly sha256: string }
  readonly publicKey: string
  /** Output of the VM over SSH at `address` or `address:port`, from another node, after cloud-init has finished. */
  said(name: string, address: string, command: string): Promise<string>
  /** Sums of so many random bytes: before they are sent to the VM from another node, there, and after their return. */
  carried(name: string, address: string, bytes: number): Promise<readonly string[]>
  /** Forgets the key. */
  remove(): void
}

/** `address` or `address:port`. */
function login(address: string): readonly string[] {
  const [host = '', port = '22'] = address.split(':')
  return ['-p', port, `debian@${host}`]
}

export async function sshGuest({ lab }: Deployment): Promise<SshGuest> {
  const guest = await buildGuest('debian')
  copyFileSync(guest.path, join(lab.www, 'debian.qcow2'))
  const keys = mkdtempSync(join(tmpdir(), 'swarmvirt-ssh-'))
  await must(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', join(keys, 'id')])
  return {
    image: { source: `http://${lab.wwwAddress}/debian.qcow2`, sha256: guest.sha256 },
    publicKey: readFileSync(join(keys, 'id.pub'), 'utf8').trim(),
    async said(name, address, command) {
      const from = otherNode(lab, (await containerOf(lab, name)).node)
      const argv = ['ssh', '-i', join(keys, 'id'), ...options, ...login(address), `cloud-init status --wait >/dev/null; ${command}`]
      const trySsh = async (): Promise<string | undefined> => {
        const result = await lab.exec(from, argv)
        return result.code === 0 ? result.stdout : undefined
      }
      return until('SSH with the key of the manifest', 180_000, trySsh, 2000)
    },
    async carried(name, address, bytes) {
      const from = otherNode(lab, (await containerOf(lab, name)).node)
      const file = join(keys, 'bytes')
      const script = [
        'file=$1; count=$2; shift 2',
        'head -c "$count" /dev/urandom > "$file" && sha256sum < "$file"',
        '"$@" "cat > /tmp/bytes && sha256sum < /tmp/bytes" < "$file" && "$@" "cat /tmp/bytes" | sha256sum',
      ].join('\n')
      const ssh = ['ssh', '-i', join(keys, 'id'), ...options, ...login(address)]
      const result = await lab.exec(from, ['sh', '-c', script, 'sh', file, String(bytes), ...ssh])
      return result.stdout.split('\n').flatMap((line) => line.split(' ')[0] || [])
    },
    remove: () => rmSync(keys, { recursive: true, force: true }),
  }
}
