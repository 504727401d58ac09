import { join } from 'node:path'
import type { BuildOptions, Plugin } from 'esbuild'

/** zod's messages in fifty languages, of which English is imported by itself. */
export const englishOnly: Plugin = {
  name: 'english-only',
  setup(builder) {
    builder.onResolve({ filter: /\/locales\/index\.js$/ }, (args) => ({ path: args.path, namespace: 'no-locales' }))
    builder.onLoad({ filter: /.*/, namespace: 'no-locales' }, () => ({ contents: 'export {}' }))
  },
}

/** How every program of ours becomes one file. */
export const oneFile = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  // Names stay, for whoever reads a stack trace; the rest is less to read at each start, and to keep: V8 holds the text of what runs.
  minifyWhitespace: true,
  minifySyntax: true,
  // One character outside ASCII, and V8 holds two bytes for each of them. The licences lie beside it.
  charset: 'ascii',
  legalComments: 'linked',
  // CJS has no import.meta.url; libraries use it to find files beside them.
  define: { 'import.meta.url': 'importMetaUrl' },
  banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
  absWorkingDir: join(import.meta.dirname, '..'),
  logLevel: 'silent',
} as const satisfies BuildOptions
