/** `hubcap offline`: whether the running hubcap asks anybody. */
import type { Argv, CommandModule } from 'yargs';
import { withDaemon } from './control.ts';
import { configFrom, withCommonOptions } from './options.ts';

interface Options {
  state?: 'on' | 'off' | undefined;
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

const ADVICE =
  'name its data directory with --data DIR; to start one that is offline, use `hubcap serve --offline` or put `offline: true` into its configuration';

export function offline(): CommandModule<object, Options> {
  return {
    command: 'offline [state]',
    describe: 'say or change whether the running hubcap asks its upstreams',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .positional('state', {
          choices: ['on', 'off'] as const,
          describe:
            'on: nobody is asked; it holds until hubcap ends, or reloads a configuration whose `offline` has changed',
        })
        .option('json', { type: 'boolean', describe: 'as one JSON document' })
        .example(
          '$0 offline on',
          'serve what is known, whatever its age; what is not known is a 404 and noted',
        )
        .example('$0 offline off', 'ask again')
        .example('$0 offline --json | jq .isOffline', 'what it is now, for a script')
        .epilogue('`hubcap misses` lists what clients asked for and could not be given.'),
    handler: async ({ state, json, ...flags }) => {
      const found = await withDaemon(configFrom(flags), ADVICE, async (daemon) => {
        if (state !== undefined) return await daemon.offline(state === 'on');
        const { isOffline } = await daemon.status();
        return { isOffline, isChanged: false };
      });
      const { isOffline, isChanged } = found;
      const said = `${isOffline ? 'offline: nobody is asked' : 'online: upstreams are asked'}`;
      const note = state !== undefined && !isChanged ? ' (as before)' : '';
      process.stdout.write(json ? `${JSON.stringify(found)}\n` : `${said}${note}\n`);
    },
  };
}
