// Watches a directory and prints a line for each hint: `node watcher.ts DIRECTORY POLLING POLL_MS`.
import { manifestDirectory } from '../../../src/adapters/directory/manifest-directory.ts'

const [path = '', polling, pollMs] = process.argv.slice(2)
manifestDirectory({ path, watchPolling: polling === 'true', pollMs: Number(pollMs) }).watch(() => process.stdout.write('hint\n'))
