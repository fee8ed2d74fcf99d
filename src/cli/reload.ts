/** `hubcap reload`: the running hubcap reads its configuration again. */
import type { Argv, CommandModule } from 'yargs';
import type { ReloadReport } from '../admin/status.ts';
import { RefusedError } from '../refused-error.ts';
import { withDaemon } from './control.ts';
import { configFrom, withCommonOptions } from './options.ts';
import { ReportedError } from './reported-error.ts';

interface Options {
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

const ADVICE =
  'name its data directory with --data DIR; `hubcap serve` reads the configuration when it starts';

export function reload(): CommandModule<object, Options> {
  return {
    command: 'reload',
    describe: 'have the running hubcap read its configuration again, as SIGHUP does',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .option('json', { type: 'boolean', describe: 'as one JSON document' })
        .example('$0 reload', 'what has changed; one that cannot be used changes nothing, and ends with 2')
        .example('$0 reload --json | jq .needsRestart', 'what holds only after a restart')
        .epilogue(
          'It reads the flags, variables and files that it was started with. Changed without a restart: upstreams, prewarm, offline, http, log.level, proxy, adminNames, storage.maxSize and minFree.',
        ),
    handler: async ({ json, ...flags }) => {
      const report = await withDaemon(configFrom(flags), ADVICE, async (daemon) => {
        try {
          return await daemon.reload();
        } catch (error) {
          if (!(error instanceof RefusedError)) throw error;
          throw new ReportedError(error.message, error, error.status === 400 ? 'configuration' : 'failure');
        }
      });
      process.stdout.write(json ? `${JSON.stringify(report)}\n` : describe(report));
    },
  };
}

function describe({ needsRestart, ...changes }: ReloadReport): string {
  const labels = { added: 'added', changed: 'changed', removed: 'removed', settings: 'now holds' } as const;
  const lines = Object.entries(labels)
    .map(([key, label]) => [label, changes[key as keyof typeof labels]] as const)
    .filter(([, names]) => names.length > 0)
    .map(([label, names]) => `  ${label.padEnd(9)}  ${names.join(', ')}`);
  const waiting = needsRestart.length === 0 ? [] : [`  after a restart: ${needsRestart.join(', ')}`];
  const isNew = lines.length > 0;
  return `${['the configuration is reloaded', ...(isNew ? lines : ['  nothing is new']), ...waiting].join('\n')}\n`;
}
