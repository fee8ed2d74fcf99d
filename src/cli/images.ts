/** `hubcap images`: what is in the store, by the names that clients use. */
import type { Argv, CommandModule } from 'yargs';
import type { ImageStatus } from '../admin/status.ts';
import { formatBytes } from '../units.ts';
import { withControl } from './control.ts';
import { configFrom, withCommonOptions } from './options.ts';
import { formatTable } from './table.ts';

interface Options {
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

export function images(version: string): CommandModule<object, Options> {
  return {
    command: 'images',
    describe: 'list the images in the store',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .option('json', { type: 'boolean', describe: 'one JSON document per line and image' })
        .example('$0 images', 'of the running hubcap, or of its data directory when it is stopped')
        .example(
          '$0 images --json | jq -r \'select(.state == "partial").reference\'',
          'images of which something is missing',
        ),
    handler: async ({ json, ...flags }) => {
      await withControl(configFrom(flags), version, async (control) => {
        const rows: string[][] = [];
        for await (const image of control.images()) {
          if (json) process.stdout.write(`${JSON.stringify(image)}\n`);
          else rows.push(describe(image));
        }
        if (!json) process.stdout.write(rows.length === 0 ? 'no images yet\n' : formatTable(HEADINGS, rows));
      });
    },
  };
}

const HEADINGS = ['REFERENCE', 'DIGEST', 'SIZE', 'STATE', 'PLATFORMS'];

function describe({ reference, digest, storedBytes, state, platforms }: ImageStatus): string[] {
  const present = platforms
    .filter(({ isComplete }) => isComplete)
    .map(({ platform }) => platform ?? 'single');
  const shown = present.length > 0 ? present.join(', ') : '-';
  const of = platforms.length > 1 ? ` (${present.length} of ${platforms.length})` : '';
  return [
    reference.replace(/@.*/, ''),
    digest.slice(0, 19),
    formatBytes(storedBytes),
    state,
    `${shown}${of}`,
  ];
}
