/** `hubcap misses`: what clients asked for and could not be given. */
import type { Argv, CommandModule } from 'yargs';
import type { MissStatus } from '../admin/misses.ts';
import { withControl } from './control.ts';
import { configFrom, withCommonOptions } from './options.ts';
import { formatTable, toMinutes } from './table.ts';

interface Options {
  action?: 'clear' | undefined;
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
  list?: boolean | undefined;
}

export function misses(version: string): CommandModule<object, Options> {
  return {
    command: 'misses [action]',
    describe: 'list what clients asked for and could not be given',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .positional('action', { choices: ['clear'] as const, describe: 'empty the list' })
        .option('json', { type: 'boolean', describe: 'as one JSON document' })
        .option('list', {
          type: 'boolean',
          describe: 'one image per line, each once, with its platforms after a space where they are known',
        })
        .conflicts('json', 'list')
        .check(({ action, list }) => {
          if (action === 'clear' && list)
            throw new Error('clear lists nothing: run `hubcap misses --list` before it.');
          return true;
        })
        .example('$0 misses', 'of the running hubcap, or of its data directory; the last asked for first')
        .example('$0 misses --list > wanted.txt', 'what to fetch where there is a way to the registries')
        .example('$0 misses --json | jq \'.misses[] | select(.reason == "throttled")\'', 'for a script')
        .example('$0 misses clear', 'begin anew')
        .epilogue(
          'Noted are requests that were refused because hubcap is offline, or because an upstream limits the rate, cannot be reached or refuses access; not what upstream says it does not have. An image leaves the list when it is here. The list holds 10,000 lines and survives restarts; a hubcap that is killed forgets the last seconds.',
        ),
    handler: async ({ action, json, list, ...flags }) => {
      await withControl(configFrom(flags), version, async (control) => {
        if (action === 'clear') {
          const cleared = await control.clearMisses();
          process.stdout.write(json ? `${JSON.stringify({ cleared })}\n` : `${cleared} cleared\n`);
          return;
        }
        const found: MissStatus[] = []; // bounded by whoever keeps the list
        for await (const miss of control.misses()) found.push(miss);
        if (json) process.stdout.write(`${JSON.stringify({ misses: found }, undefined, 2)}\n`);
        else process.stdout.write(list ? formatList(found) : describe(found));
      });
    },
  };
}

const HEADINGS = ['REFERENCE', 'KIND', 'PLATFORM', 'COUNT', 'FIRST', 'LAST', 'REASON'];

function describe(found: readonly MissStatus[]): string {
  if (found.length === 0) return 'nothing was missed\n';
  const rows = found.map(({ reference, kind, platform, count, firstAt, lastAt, reason, cause }) => [
    reference,
    kind,
    platform ?? '-',
    String(count),
    toMinutes(firstAt),
    toMinutes(lastAt),
    cause === undefined ? reason : `${reason} (${cause})`,
  ]);
  return formatTable(HEADINGS, rows);
}

/** Attestations are a part of an image, and nothing that can be asked for as a platform. */
const NO_PLATFORM = 'unknown/unknown';

/**
 * A list of images as a prewarm reads it: a reference, then, after a space, the platforms that were missed of it, with
 * commas between them. What is no image by itself is a comment: nothing is left out without a word.
 */
function formatList(found: readonly MissStatus[]): string {
  const platforms = new Map<string, Set<string>>();
  const comments: string[] = [];
  for (const { reference, kind, platform } of found) {
    if (kind !== 'image') {
      comments.push(`# ${reference}: ${NO_IMAGE[kind]}\n`);
      continue;
    }
    const known = platforms.get(reference) ?? new Set();
    if (platform !== undefined && platform !== NO_PLATFORM) known.add(platform);
    platforms.set(reference, known);
  }
  const images = [...platforms].map(([reference, { size }]) => {
    const wanted = size > 0 ? ` ${[...(platforms.get(reference) ?? [])].sort().join(',')}` : '';
    return `${reference}${wanted}\n`;
  });
  return [...images, ...comments].join('');
}

const NO_IMAGE: Readonly<Record<Exclude<MissStatus['kind'], 'image'>, string>> = {
  blob: 'a blob; which image it belongs to is not known here',
  tags: 'the list of its tags',
  referrers: 'what refers to it, such as signatures',
};
