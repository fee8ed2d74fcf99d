/** Owns hubcap's commands as a user gives them, to a hubcap that runs. */

import { createReadStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { packLayout } from '../../../src/airgap/archives/pack-layout.ts';
import { knownDigests, scanArchive } from '../../../src/airgap/archives/scan-archive.ts';
import type { ExportRequest } from '../../../src/airgap/commands.ts';
import { readImageList } from '../../../src/airgap/lists/image-list.ts';
import { fullNameText, parseFullName } from '../../../src/oci/image-name.ts';
import { platformText } from '../../../src/oci/platform.ts';
import { all, controlOf, importOf, prewarmOf } from '../control.ts';
import type { Hubcap } from './hubcap.ts';
import { type Finished, runProgram } from './program.ts';

const main = process.env.HUBCAP_MAIN ?? fileURLToPath(new URL('../../../src/main.ts', import.meta.url));

export interface Commands {
  /** Runs `hubcap ARGUMENTS`. Throws when it fails. Returns what it printed. */
  run(...args: string[]): Promise<string>;
  /** Runs it and tells how it ended. */
  try(...args: string[]): Promise<Finished>;
}

/** The commands for this hubcap's data directory. */
export function commandsOf(t: Test, { dataDirectory }: Hubcap): Commands {
  const attempt = (...args: string[]) => {
    const flags = ['--data', dataDirectory];
    if (args[0] && ['prewarm', 'export', 'import'].includes(args[0])) return interim(dataDirectory, args);
    return runProgram(t, process.execPath, [main, ...args, ...flags], { env: { HOME: '/nonexistent' } });
  };
  return {
    try: attempt,
    async run(...args) {
      const finished = await attempt(...args);
      if (finished.code !== 0) throw new Error(`hubcap ${args.join(' ')}`, { cause: finished });
      return finished.stdout;
    },
  };
}

async function interim(directory: string, [command, ...args]: string[]): Promise<Finished> {
  const control = await controlOf({ directory });
  const options = new Map<string, string[]>();
  const references: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (!arg.startsWith('-')) references.push(arg);
    else if (['-f', '-o', '--platform', '--since', '--as'].includes(arg))
      options.set(arg, [...(options.get(arg) ?? []), args[++at] ?? '']);
    else options.set(arg, []);
  }
  const full = (text: string) => {
    const name = parseFullName(text);
    if (!name) throw new Error(text);
    return fullNameText(name);
  };
  const chosen = options.get('--platform')?.[0];
  const platforms = chosen === undefined ? undefined : chosen === 'all' ? 'all' : chosen.split(',');
  let isFailed = false;
  let told: unknown[] = [];
  if (command === 'prewarm') {
    const images = references.map(
      (reference) =>
        ({ reference: full(reference), platforms: undefined }) as {
          reference: string;
          platforms: 'all' | string[] | undefined;
        },
    );
    for (const file of options.get('-f') ?? []) {
      const list = readImageList(await readFile(file, 'utf8'), { name: file, variables: {} });
      for (const { name, platforms } of list.images)
        images.push({
          reference: fullNameText(name),
          platforms: platforms === undefined || platforms === 'all' ? platforms : platforms.map(platformText),
        });
    }
    const request = prewarmOf([], {
      images,
      platforms: platforms ?? ['linux/amd64'],
      isPinning: options.has('--pin'),
      withReferrers: options.has('--with-referrers'),
    });
    const events = await all(control.prewarm(request));
    told = events.filter(({ kind }) => kind !== 'progress');
    isFailed = events.some(({ kind }) => kind === 'failure');
  } else if (command === 'export') {
    const selection = options.has('--pinned') ? 'pinned' : options.has('--all') ? 'all' : 'references';
    const since: string[] = [];
    for (const file of options.get('--since') ?? []) since.push(...(await digestsOf(file)));
    const request: ExportRequest = { selection, references: references.map(full), platforms, since };
    const { plan, bundle } = await control.export(request);
    await writeFile(options.get('-o')?.[0] ?? '', bundle);
    told = [plan];
  } else {
    for (const file of references) {
      const events = await all(
        control.import(
          importOf({ as: options.get('--as') ?? [], isPinning: !options.has('--no-pin') }),
          open(file),
        ),
      );
      told.push(...events.filter(({ kind }) => kind !== 'progress'));
      isFailed ||= events.at(-1)?.kind !== 'report';
    }
  }
  await control.close();
  const stdout = told.map((event) => `${JSON.stringify(event)}\n`).join('');
  return { code: isFailed ? 1 : 0, stdout, stderr: '' };
}

async function digestsOf(file: string): Promise<string[]> {
  return [...knownDigests([await scanArchive(file, { maxBytes: 1e10, maxEntries: 1e5 })])];
}

async function* open(file: string): AsyncGenerator<Buffer> {
  yield* (await stat(file)).isDirectory() ? packLayout(file) : createReadStream(file);
}
