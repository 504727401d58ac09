import { closeSync, fstatSync, openSync, readlinkSync, readSync, realpathSync, statSync } from 'node:fs'
import { lstat, open, readdir, readlink, realpath, stat, statfs } from 'node:fs/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { systemClock } from '../process/system-clock.ts'
import type { SourceFiles } from './source-files.ts'
import { watchDirectory } from './watch.ts'

/** The file system of this machine. */
export const nodeFiles: SourceFiles = {
  clock: systemClock,
  nextTurn: () => nextTurn(),
  open,
  lstat: (path) => lstat(path),
  stat: (path) => stat(path),
  exactStat: (path) => stat(path, { bigint: true }),
  statfs: (path) => statfs(path),
  readlink: (path) => readlink(path),
  realpath: (path) => realpath(path),
  readdir: (path) => readdir(path, { withFileTypes: true }),
  openSync,
  closeSync,
  fstatSync: (fd) => fstatSync(fd),
  readSync,
  statSync: (path) => statSync(path, { throwIfNoEntry: false }),
  exactStatSync: (path) => statSync(path, { bigint: true, throwIfNoEntry: false }),
  readlinkSync: (path) => readlinkSync(path),
  realpathSync: (path) => realpathSync(path),
  watch: (options, onHint) => watchDirectory(nodeFiles, options, onHint),
}
