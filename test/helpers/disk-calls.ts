/** Owns standing between this process and the file system: each call of node:fs/promises can be seen, held or failed. */
import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

export interface DiskCall {
  /** `open`, `rename`…; of an open file: `read`, `write`, `sync`, `truncate`, `stat`, `close` */
  operation: string;
  path: string;
  /** where a rename goes */
  target?: string;
  /** whether it changes what is on disk, or makes it durable */
  isWriting: boolean;
  /** of an open file */
  file?: FileHandle;
}

export interface DiskWatcher {
  /** Runs before the call, which waits for it; what it throws is what the call fails with. */
  before?(call: DiskCall): void | Promise<void>;
  /** Runs when the call has succeeded. */
  after?(call: DiskCall): void;
  /** Runs when the call is over, in whatever way. */
  ended?(call: DiskCall): void;
}

type Call = (...values: unknown[]) => Promise<unknown>;

const WRITING = new Set(
  'rename unlink mkdir rm rmdir writeFile truncate link copyFile write sync'.split(' '),
);
const ON_PATHS =
  'open rename unlink mkdir rm rmdir writeFile readFile truncate link copyFile readdir opendir stat lstat statfs access chmod'.split(
    ' ',
  );
/** What a handle can do, and what it is to a watcher. */
const ON_HANDLES: Readonly<Record<string, string>> = {
  read: 'read',
  readv: 'read',
  readFile: 'read',
  write: 'write',
  writev: 'write',
  writeFile: 'write',
  appendFile: 'write',
  truncate: 'truncate',
  sync: 'sync',
  datasync: 'sync',
  stat: 'stat',
  close: 'close',
};

const watchers = new Set<DiskWatcher>();

/** At once and for good: a file that was opened before could not be watched. */
patch();

/**
 * Shows `watcher` every call on paths below `directory`, through whatever module it is made.
 * What SQLite does is native and not seen.
 * @returns ends it
 */
export function watchDisk(directory: string, watcher: DiskWatcher): () => void {
  const isBelow = (path: string): boolean => path === directory || path.startsWith(`${directory}/`);
  const own: DiskWatcher = {
    before: (call) => (isBelow(call.path) ? watcher.before?.(call) : undefined),
    after: (call) => (isBelow(call.path) ? watcher.after?.(call) : undefined),
    ended: (call) => (isBelow(call.path) ? watcher.ended?.(call) : undefined),
  };
  watchers.add(own);
  return () => {
    watchers.delete(own);
  };
}

/** An error as the operating system gives it. */
export function diskError(code: string, { operation, path }: DiskCall): Error {
  return Object.assign(new Error(`${code}: pretended, ${operation} '${path}'`), {
    code,
    syscall: operation,
    path,
  });
}

/** Named imports of built-in modules follow what is assigned here once `syncBuiltinESMExports` has run. */
function patch(): void {
  for (const operation of ON_PATHS) {
    const original = Reflect.get(fs.promises, operation) as Call;
    Reflect.set(fs.promises, operation, async (...values: unknown[]) => {
      const [path, second] = values;
      if (typeof path !== 'string') return await original(...values);
      const isWriting = WRITING.has(operation) || (operation === 'open' && isForWriting(second));
      const target = typeof second === 'string' && operation === 'rename' ? { target: second } : {};
      const result = await seen({ operation, path, isWriting, ...target }, () => original(...values));
      if (operation === 'open') watchHandle(result as FileHandle, path);
      return result;
    });
  }
  syncBuiltinESMExports();
}

function isForWriting(flags: unknown): boolean {
  const { O_WRONLY, O_RDWR } = fs.constants;
  return typeof flags === 'number'
    ? (flags & (O_WRONLY | O_RDWR)) !== 0
    : flags !== undefined && flags !== 'r';
}

function watchHandle(file: FileHandle, path: string): void {
  for (const [method, operation] of Object.entries(ON_HANDLES)) {
    const original = (Reflect.get(file, method) as Call).bind(file);
    const call: DiskCall = { operation, path, isWriting: WRITING.has(operation), file };
    Reflect.set(file, method, (...values: unknown[]) => seen({ ...call }, () => original(...values)));
  }
}

async function seen<T>(call: DiskCall, work: () => Promise<T>): Promise<T> {
  const all = [...watchers];
  try {
    for (const { before } of all) await before?.(call);
    const result = await work();
    for (const { after } of all) after?.(call);
    return result;
  } finally {
    for (const { ended } of all) ended?.(call);
  }
}
