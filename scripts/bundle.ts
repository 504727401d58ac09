import { join } from 'node:path'
import type { BuildOptions, Plugin } from 'esbuild'

/** zod's messages in fifty languages. English is imported separately. */
export const englishOnly: Plugin = {
  name: 'english-only',
  setup(builder) {
    builder.onResolve({ filter: /\/locales\/index\.js$/ }, (args) => ({ path: args.path, namespace: 'no-locales' }))
    builder.onLoad({ filter: /.*/, namespace: 'no-locales' }, () => ({ contents: 'export {}' }))
  },
}

/** Options to bundle a program into one file. */
export const oneFile = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  // Keeps names for stack traces. The rest is minified, since V8 reads it at each start and keeps it in memory.
  minifyWhitespace: true,
  minifySyntax: true,
  // With one character outside ASCII, V8 stores two bytes for each character. Licenses are in a separate file.
  charset: 'ascii',
  legalComments: 'linked',
  // CJS has no import.meta.url. Libraries use it to find files next to them.
  define: { 'import.meta.url': 'importMetaUrl' },
  banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
  absWorkingDir: join(import.meta.dirname, '..'),
  logLevel: 'silent',
} as const satisfies BuildOptions
