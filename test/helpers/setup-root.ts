/** Owns the root of a machine that `hubcap setup` changes: files by their path there. */

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';

export interface Root {
  path: string;
  put(path: string, content: string | Buffer): void;
  /** undefined where there is no file */
  get(path: string): string | undefined;
  /** every file, by its path */
  all(): Record<string, string>;
}

/** Makes an empty root with these files. */
export function makeRoot(t: Test, files: Readonly<Record<string, string>> = {}): Root {
  const path = mkdtempSync(join(tmpdir(), 'hubcap-root-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  const root: Root = {
    path,
    put(name, content) {
      mkdirSync(dirname(join(path, name)), { recursive: true });
      writeFileSync(join(path, name), content);
    },
    get: (name) => (existsSync(join(path, name)) ? readFileSync(join(path, name), 'utf8') : undefined),
    all() {
      const entries = readdirSync(path, { recursive: true, withFileTypes: true });
      const names = entries
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(path.length));
      return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(path, name), 'utf8')]));
    },
  };
  for (const [name, text] of Object.entries(files)) root.put(name, text);
  return root;
}
