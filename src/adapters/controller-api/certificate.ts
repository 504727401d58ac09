import { createHash, X509Certificate } from 'node:crypto'
import { generate } from 'selfsigned'

export interface SelfSigned {
  readonly keyPem: string
  readonly certificatePem: string
  /** SHA-256 over the DER certificate, as `AA:BB:…`. */
  readonly fingerprint: string
}

/** An EC P-256 key and a certificate for `commonName`, valid for ten years. Clients pin its fingerprint, so names and chains do not matter. */
export async function selfSignedCertificate(commonName: string, now: Date): Promise<SelfSigned> {
  const notAfterDate = new Date(now)
  notAfterDate.setUTCFullYear(notAfterDate.getUTCFullYear() + 10)
  const made = await generate([{ name: 'commonName', value: commonName }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: now,
    notAfterDate,
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: commonName },
          { type: 2, value: 'localhost' },
        ],
      },
    ],
  })
  const der = new X509Certificate(made.cert).raw
  const hex = createHash('sha256').update(der).digest('hex').toUpperCase()
  return { keyPem: made.private, certificatePem: made.cert, fingerprint: (hex.match(/../g) ?? []).join(':') }
}
