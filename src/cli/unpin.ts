/** `hubcap unpin`: images that may be evicted again. */
import type { Argv, CommandModule } from 'yargs';
import { formatBytes } from '../units.ts';
import { withControl } from './control.ts';
import { configFrom, withCommonOptions } from './options.ts';
import { checkReferences, fullReferences } from './references.ts';

interface Options {
  references?: string[] | undefined;
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

export function unpin(version: string): CommandModule<object, Options> {
  return {
    command: 'unpin <references..>',
    describe: 'keep images no longer: they may be evicted again',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .positional('references', {
          type: 'string',
          array: true,
          describe: 'pinned images, as `hubcap images --pinned` lists them; by digest, as its --json does',
        })
        .option('json', { type: 'boolean', describe: 'as one JSON document' })
        .check(({ references = [] }) => checkReferences(references))
        .example('$0 unpin alpine:3.20', 'it stays until its room is needed')
        .example('$0 unpin alpine:3.20 && hubcap remove alpine:3.20', 'its room is free at once'),
    handler: async ({ references = [], json, ...flags }) => {
      const report = await withControl(configFrom(flags), version, (control) =>
        control.unpin(fullReferences(references)),
      );
      if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
      else {
        const lines = report.unpinned.map((reference) => `${reference} is not pinned any more`);
        process.stdout.write(`${lines.join('\n')}\n${formatBytes(report.pinnedBytes)} are pinned\n`);
      }
    },
  };
}
