/** `hubcap remove`: images go, with what nothing else uses. */
import type { Argv, CommandModule } from 'yargs';
import type { RemoveReport } from '../airgap/commands.ts';
import { formatBytes } from '../units.ts';
import { withControl } from './control.ts';
import { configFrom, withCommonOptions } from './options.ts';
import { checkReferences, fullReferences } from './references.ts';
import { formatTable } from './table.ts';

interface Options {
  references?: string[] | undefined;
  'dry-run'?: boolean | undefined;
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

export function remove(version: string): CommandModule<object, Options> {
  return {
    command: 'remove <references..>',
    describe: 'remove images, and what nothing else uses of them',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .positional('references', {
          type: 'string',
          array: true,
          describe: 'images, as `hubcap images` lists them; by digest, as its --json does',
        })
        .option('dry-run', { type: 'boolean', describe: 'say what would go, and remove nothing' })
        .option('json', { type: 'boolean', describe: 'as one JSON document' })
        .check(({ references = [] }) => checkReferences(references))
        .example('$0 remove alpine:3.19 --dry-run', 'what that would free')
        .example('$0 remove alpine:3.19', 'a name that is pinned is refused: unpin it first')
        .epilogue('Layers that another image has stay. Who asks for a removed image has it fetched again.'),
    handler: async ({ references = [], json, config, data, control, ...options }) => {
      const isDryRun = options['dry-run'] === true;
      const report = await withControl(configFrom({ config, data, control }), version, (found) =>
        found.remove({ references: fullReferences(references), isDryRun }),
      );
      process.stdout.write(json ? `${JSON.stringify(report)}\n` : describe(report, isDryRun));
    },
  };
}

function describe({ removed, bytes }: RemoveReport, isDryRun: boolean): string {
  const headings = ['REFERENCE', 'DIGEST', 'OBJECTS', isDryRun ? 'WOULD FREE' : 'FREED', 'KEPT FOR OTHERS'];
  const rows = removed.map(({ reference, digest, objects, bytes: freed, keptBytes }) => [
    reference.replace(/@.*/, ''),
    digest.slice(0, 19),
    String(objects),
    formatBytes(freed),
    keptBytes > 0 ? formatBytes(keptBytes) : '-',
  ]);
  const said = isDryRun ? 'would be freed; nothing was removed' : 'freed';
  return `${formatTable(headings, rows)}${formatBytes(bytes)} ${said}\n`;
}
