/** File names that tools use for secrets. */
const files = [
  // Keys and certificate stores.
  /\.(?:pem|key|p12|pfx|jks|keystore|kdbx|kdb|ppk|asc|gpg|age)$/,
  /^id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?$/,
  // Environments, credentials and tokens of well-known tools.
  /^\.env(?:\.|$)|\.env$/,
  /^\.(?:netrc|pgpass|npmrc|pypirc|htpasswd|git-credentials|vault-token|my\.cnf)$/,
  /\.tfstate(?:\.|$)|\.tfvars(?:\.|$)/,
  /^kubeconfig(?:\.|$)/,
  // `db-secret.yaml`, and not `secret-santa.yaml`, which is the manifest of a VM.
  /(?:^|[._-])(?:secrets?|credentials?|private[._-]?key|service[._-]?account)(?:\.[a-z]+)?$/,
  /^(?:tokens?|passwords?)(?:\.[a-z]+)?$/,
]
const directories = /\/(?:run\/secrets|\.ssh|\.gnupg|\.aws|\.azure|\.kube|\.docker|\.config\/gcloud|ssl\/private)\//

/** True if the path or the file name is typical for secrets. */
export function looksSecret(path: string): boolean {
  const lower = path.toLowerCase()
  const name = lower.slice(lower.lastIndexOf('/') + 1)
  return directories.test(lower) || files.some((pattern) => pattern.test(name))
}
