/** `hubcap status`: what the daemon does now. */
import type { Argv, CommandModule } from 'yargs';
import type { Status } from '../admin/status.ts';
import { formatBytes, formatDuration } from '../config/units.ts';
import { withControl } from './control.ts';
import { configFrom, withCommonOptions } from './options.ts';

interface Options {
  config?: string | undefined;
  data?: string | undefined;
  control?: string | undefined;
  json?: boolean | undefined;
}

export function status(version: string): CommandModule<object, Options> {
  return {
    command: 'status',
    describe: 'show what hubcap does: listeners, store, running downloads, upstreams',
    builder: (parser: Argv): Argv<Options> =>
      withCommonOptions(parser)
        .option('json', { type: 'boolean', describe: 'as one JSON document' })
        .example('$0 status', 'of the hubcap with the default data directory')
        .example('$0 status --data /var/lib/hubcap --json', 'for a script'),
    handler: async ({ json, ...flags }) => {
      const found = await withControl(configFrom(flags), version, (control) => control.status());
      process.stdout.write(json ? `${JSON.stringify(found, undefined, 2)}\n` : describe(found));
    },
  };
}

function describe({
  listen,
  admin,
  pid,
  version,
  uptimeS,
  directory,
  isOffline,
  configuration,
  store,
  fills,
  upstreams,
}: Status): string {
  const running =
    listen === undefined ? 'not running' : `running for ${formatDuration(uptimeS * 1000)}, process ${pid}`;
  const used = store.maxBytes > 0 ? Math.round((100 * store.bytes) / store.maxBytes) : 0;
  const lines = [
    `hubcap ${version}  ${running}${isOffline ? ', offline' : ''}`,
    ...(listen === undefined ? [] : [`listen    ${listen}`, `admin     ${admin}`]),
    ...describeConfiguration(configuration),
    `store     ${directory}: ${formatBytes(store.bytes)} of ${formatBytes(store.maxBytes)} (${used} %), ${store.objects} objects${store.isWritable ? '' : ', THE DISK REFUSES'}`,
    ...upstreams.flatMap(({ host, url, isDefault, endpoints, rateLimit }) => {
      const left =
        rateLimit?.remaining === undefined
          ? ''
          : `, ${rateLimit.remaining} of ${rateLimit.limit ?? '?'} pulls left`;
      return [
        `upstream  ${host} at ${url}${isDefault ? ' (default)' : ''}${left}`,
        ...endpoints.flatMap((endpoint) => describeEndpoint(endpoint, url)),
      ];
    }),
    ...fills.map(({ digest, size, bytes, readers }) => {
      const of = size === undefined ? '' : ` of ${formatBytes(size)}`;
      return `fill      ${digest.slice(0, 19)} ${formatBytes(bytes)}${of}, ${readers} ${readers === 1 ? 'reader' : 'readers'}`;
    }),
  ];
  return `${lines.join('\n')}\n`;
}

function describeConfiguration(configuration: Status['configuration']): string[] {
  if (!configuration) return [];
  const { loadedAt, needsRestart } = configuration;
  const waiting =
    needsRestart.length === 0 ? '' : `; changed since, after a restart: ${needsRestart.join(', ')}`;
  return [`config    loaded at ${loadedAt}${waiting}`];
}

/** A nearer copy is named; the registry itself only where something is wrong with it. */
function describeEndpoint(
  { url, state, message, isInsecure }: Status['upstreams'][number]['endpoints'][number],
  registry: string,
): string[] {
  const warning = isInsecure ? [`          ${url} is INSECURE: whoever answers there is believed`] : [];
  if (state !== 'up') return [`          ${url} is ${state}: ${message}`, ...warning];
  return url === registry ? warning : [`          by way of ${url}`, ...warning];
}
