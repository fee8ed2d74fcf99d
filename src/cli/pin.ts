/** `hubcap pin`: images that are never evicted. */
import type { Argv, CommandModule } from 'yargs';
import type { PinReport } from '../airgap/commands.ts';
import { formatBytes } from '../units.ts';
import { withControl } from './control.ts';
import { configFrom, withCommonOptions } from './options.ts';
import { formatPins } from './pin-table.ts';
import { requestedPlatforms, withPlatformOption } from './platforms.ts';
import { checkReferences, fullReferences } from './references.ts';

interface Options {
  references?: string[] | undefined;
  platform?: string | undefined;
  'with-referrers'?: boolean | undefined;
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

export function pin(version: string): CommandModule<object, Options> {
  return {
    command: 'pin <references..>',
    describe: 'keep images: they are never evicted',
    builder: (parser: Argv): Argv<Options> =>
      withPlatformOption(withCommonOptions(parser), 'those that are here as a whole')
        .positional('references', {
          type: 'string',
          array: true,
          describe: 'images that are here: alpine, ghcr.io/owner/app:1.2, …@sha256:…',
        })
        .option('with-referrers', {
          type: 'boolean',
          describe: 'signatures, SBOMs and what else is here that refers to them too',
        })
        .option('json', { type: 'boolean', describe: 'as one JSON document' })
        .check(({ references = [] }) => checkReferences(references))
        .example('$0 pin alpine:3.20 ghcr.io/owner/app:1.2', 'all of them or, where one is not here, none')
        .example('$0 prewarm alpine:3.20 --pin', 'fetch what is not here, and pin it')
        .epilogue('`hubcap images --pinned` lists what is pinned, `hubcap unpin` takes it back.'),
    handler: async ({ references = [], platform, json, config, data, control, ...options }) => {
      const request = {
        references: fullReferences(references),
        platforms: requestedPlatforms(platform),
        withReferrers: options['with-referrers'] === true,
      };
      const report = await withControl(configFrom({ config, data, control }), version, (found) =>
        found.pin(request),
      );
      process.stdout.write(json ? `${JSON.stringify(report)}\n` : describe(report));
    },
  };
}

function describe({ pinned, pinnedBytes, maxBytes }: PinReport): string {
  return `${formatPins(pinned)}${formatBytes(pinnedBytes)} of ${formatBytes(maxBytes)} are pinned\n`;
}
