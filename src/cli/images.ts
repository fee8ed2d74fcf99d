/** `hubcap images`: what is in the store, by the names that clients use. */
import type { Argv, CommandModule } from 'yargs';
import type { Control } from '../admin/control-client.ts';
import type { ImageStatus } from '../admin/status.ts';
import type { PinStatus } from '../airgap/commands.ts';
import { formatBytes } from '../units.ts';
import { withControl } from './control.ts';
import { configFrom, withCommonOptions } from './options.ts';
import { formatPins } from './pin-table.ts';
import { formatTable, toMinutes } from './table.ts';

interface Options {
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
  pinned?: boolean | undefined;
}

export function images(version: string): CommandModule<object, Options> {
  return {
    command: 'images',
    describe: 'list the images in the store',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .option('json', { type: 'boolean', describe: 'one JSON document per line and image' })
        .option('pinned', { type: 'boolean', describe: 'those that are never evicted, with who pinned them' })
        .example('$0 images', 'of the running hubcap, or of its data directory when it is stopped')
        .example(
          '$0 images --json | jq -r \'select(.state == "partial").reference\'',
          'images of which something is missing',
        )
        .example('$0 images --pinned', 'what stays: pinned by you, or by the list of a schedule'),
    handler: async ({ json, pinned, ...flags }) => {
      await withControl(configFrom(flags), version, async (control) => {
        if (json) {
          const found = pinned ? control.pins() : control.images();
          for await (const one of found) process.stdout.write(`${JSON.stringify(one)}\n`);
        } else process.stdout.write(pinned ? await listPins(control) : await listImages(control));
      });
    },
  };
}

async function listPins(control: Control): Promise<string> {
  const pins: PinStatus[] = []; // as many as somebody has named
  for await (const pin of control.pins()) pins.push(pin);
  return pins.length === 0 ? 'nothing is pinned\n' : formatPins(pins);
}

async function listImages(control: Control): Promise<string> {
  const rows: string[][] = [];
  for await (const image of control.images()) rows.push(describe(image));
  return rows.length === 0 ? 'no images yet\n' : formatTable(HEADINGS, rows);
}

const HEADINGS = ['REFERENCE', 'DIGEST', 'SIZE', 'STATE', 'LAST USED', 'PLATFORMS'];

function describe(image: ImageStatus): string[] {
  const { reference, digest, storedBytes, state, lastUsedAt, isPinned, platforms } = image;
  const present = platforms
    .filter(({ isComplete }) => isComplete)
    .map(({ platform }) => platform ?? 'single');
  const shown = present.length > 0 ? present.join(', ') : '-';
  const of = platforms.length > 1 ? ` (${present.length} of ${platforms.length})` : '';
  return [
    reference.replace(/@.*/, ''),
    digest.slice(0, 19),
    formatBytes(storedBytes),
    isPinned ? `${state}, pinned` : state,
    lastUsedAt === undefined ? '-' : toMinutes(lastUsedAt),
    `${shown}${of}`,
  ];
}
