/** Owns power loss: what a disk would hold if the power went at some moment, as far as was made durable before. */
import { createHash } from 'node:crypto';
import {
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { type DiskCall, watchDisk } from './disk-calls.ts';

/** A file through all its names. */
interface File {
  /** as it was when it was last synced; undefined: never */
  durable: Buffer | undefined;
}

type Entry = File | 'directory';
/** by path below the directory */
type Tree = Map<string, Entry>;

export interface Moment {
  /** what was being done */
  label: string;
  /** names as a running system sees them, with the sizes it sees */
  live: Tree;
  sizes: Map<string, number>;
  /** names as they were when their directory was last synced */
  durable: Tree;
  /** what the files of both held durably then */
  contents: Map<File, Buffer>;
  catalog: { main: Buffer | undefined; log: Buffer | undefined };
}

/** What is found after the power is back. */
export interface Image {
  name: string;
  files: Map<string, Buffer>;
  directories: string[];
}

export interface Recorder {
  /** one for each call that changes something: before it and after it */
  readonly moments: readonly Moment[];
  /** Adds the moment that is now. */
  mark(label: string): void;
  /** what of a file would survive now, bytes; 0 where there is none */
  durableBytes(path: string): number;
  end(): void;
}

/** SQLite syncs what it must by itself; see `imagesOf` for what may be lost of it. */
const CATALOG = /^v1\/(catalog\.db|lock)/;

/**
 * Follows what is made durable below a directory. What is there when it begins is durable.
 * A file's content is durable as of the last sync that began after it was written, a name as of the last sync of
 * its directory.
 */
export function recordDurability(directory: string): Recorder {
  const disk = new DurableDisk(directory);
  const moments: Moment[] = [];
  const record = (when: string, call: DiskCall): void => {
    const path = relative(directory, call.path);
    if (call.isWriting) moments.push(disk.moment(`${when} ${call.operation} ${path}`));
  };
  const end = watchDisk(directory, {
    before: (call) => {
      record('before', call);
      disk.begin(call);
    },
    after: (call) => {
      disk.finish(call);
      record('after', call);
    },
  });
  return {
    moments,
    mark: (label) => moments.push(disk.moment(label)),
    durableBytes: (path) => disk.durableBytes(path),
    end,
  };
}

class DurableDisk {
  readonly #directory: string;
  readonly #byInode = new Map<number, File>();
  readonly #durable: Tree;
  /** what a sync that runs will have made durable */
  readonly #syncing = new Map<DiskCall, () => void>();

  constructor(directory: string) {
    this.#directory = directory;
    this.#durable = this.#look().live;
    for (const [path, entry] of this.#durable)
      if (entry !== 'directory') entry.durable = readFileSync(join(directory, path));
  }

  begin(call: DiskCall): void {
    if (call.operation === 'unlink') this.#forget(call.path);
    if (call.operation === 'rename' && call.target !== undefined) this.#forget(call.target);
    if (call.operation === 'sync' && call.file) this.#syncing.set(call, this.#sync(call.file.fd, call.path));
  }

  finish(call: DiskCall): void {
    this.#syncing.get(call)?.();
    this.#syncing.delete(call);
  }

  durableBytes(path: string): number {
    const entry = existsSync(path) ? this.#fileOf(lstatSync(path).ino) : undefined;
    return entry?.durable?.length ?? 0;
  }

  moment(label: string): Moment {
    const { live, sizes } = this.#look();
    const durable = new Map(this.#durable);
    const contents = new Map<File, Buffer>();
    for (const entry of [...live.values(), ...durable.values()])
      if (entry !== 'directory') contents.set(entry, entry.durable ?? Buffer.alloc(0));
    const catalog = join(this.#directory, 'v1/catalog.db');
    return {
      label,
      live,
      sizes,
      durable,
      contents,
      catalog: { main: readIfThere(catalog), log: readIfThere(`${catalog}-wal`) },
    };
  }

  /** The disk may give the number to another file. One that is open still keeps its content, and no name. */
  #forget(path: string): void {
    if (existsSync(path)) this.#byInode.delete(lstatSync(path).ino);
  }

  /** @returns what makes durable what is there now: what is written during a sync is not promised */
  #sync(descriptor: number, path: string): () => void {
    const stat = fstatSync(descriptor);
    if (!stat.isDirectory()) {
      const content = readFileSync(`/proc/self/fd/${descriptor}`);
      const file = this.#fileOf(stat.ino);
      return () => {
        file.durable = content;
      };
    }
    const parent = relative(this.#directory, path);
    const isIn = ([name]: [string, Entry]): boolean => dirname(name) === parent;
    const now = [...this.#look().live].filter(isIn);
    return () => {
      for (const [name] of [...this.#durable].filter(isIn)) this.#durable.delete(name);
      for (const [name, entry] of now) this.#durable.set(name, entry);
    };
  }

  #fileOf(inode: number): File {
    const known = this.#byInode.get(inode);
    if (known) return known;
    const made: File = { durable: undefined };
    this.#byInode.set(inode, made);
    return made;
  }

  #look(): { live: Tree; sizes: Map<string, number> } {
    const live: Tree = new Map();
    const sizes = new Map<string, number>();
    for (const entry of readdirSync(this.#directory, { recursive: true, withFileTypes: true })) {
      const path = relative(this.#directory, join(entry.parentPath, entry.name));
      if (CATALOG.test(path) || !(entry.isFile() || entry.isDirectory())) continue;
      const { ino, size } = lstatSync(join(this.#directory, path));
      live.set(path, entry.isDirectory() ? 'directory' : this.#fileOf(ino));
      sizes.set(path, size);
    }
    return { live, sizes };
  }
}

/**
 * What may be found after power was lost at a moment: names that were not synced are there or not, content that was
 * not synced is missing or zeros, the catalog's log is there, cut short, or gone.
 */
export function imagesOf(moment: Moment): Image[] {
  const { live, durable, catalog } = moment;
  const half = catalog.log?.subarray(0, catalog.log.length >> 1);
  const make = (name: string, tree: Tree, isPadded: boolean, log: Buffer | undefined): Image => {
    const files = filesOf(moment, tree, isPadded);
    if (catalog.main) files.set('v1/catalog.db', catalog.main);
    if (catalog.main && log) files.set('v1/catalog.db-wal', log);
    const directories = [...tree].filter(([path]) => tree.get(path) === 'directory').map(([path]) => path);
    return { name: `${moment.label}: ${name}`, files, directories: directories.filter(isReachable(tree)) };
  };
  return [
    make('nothing but what was synced, no log', durable, false, undefined),
    make('nothing but what was synced, log', durable, false, catalog.log),
    make('all names, content as synced, log', live, false, catalog.log),
    make('all names, zeros for content, half of the log', live, true, half),
    make('old and new names, zeros for content, no log', new Map([...durable, ...live]), true, undefined),
  ];
}

/** @returns what tells one image from another that is the same in all but its name */
export function signatureOf({ files, directories }: Image): string {
  const hash = createHash('sha1');
  for (const [path, body] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(path).update(body);
  return hash.update(directories.toSorted().join()).digest('hex');
}

/** Puts an image into a directory, on a machine that has started anew. */
export function restoreImage({ files, directories }: Image, directory: string): void {
  for (const path of directories) mkdirSync(join(directory, path), { recursive: true });
  for (const [path, body] of files) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), path.endsWith('.json') ? withAnotherBoot(body) : body);
  }
}

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** Whoever notes which start of the machine wrote something finds that there was another one since. */
function withAnotherBoot(body: Buffer): Buffer {
  const boot = readFileSync(BOOT_ID, 'latin1').trim();
  return Buffer.from(body.toString('latin1').replaceAll(boot, [...boot].reverse().join('')), 'latin1');
}

function filesOf({ contents, sizes }: Moment, tree: Tree, isPadded: boolean): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const [path, entry] of tree) {
    if (entry === 'directory' || !isReachable(tree)(path)) continue;
    const content = contents.get(entry) ?? Buffer.alloc(0);
    const missing = isPadded ? Math.max(0, (sizes.get(path) ?? 0) - content.length) : 0;
    files.set(path, missing > 0 ? Buffer.concat([content, Buffer.alloc(missing)]) : content);
  }
  return files;
}

/** A name is found only where the names of all directories above it are. */
function isReachable(tree: Tree): (path: string) => boolean {
  return (path) => {
    for (let parent = dirname(path); parent !== '.'; parent = dirname(parent))
      if (!tree.has(parent)) return false;
    return true;
  };
}

function readIfThere(path: string): Buffer | undefined {
  return existsSync(path) ? readFileSync(path) : undefined;
}
