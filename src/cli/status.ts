/** `hubcap status`: what the daemon does now. */
import type { Argv, CommandModule } from 'yargs';
import type { AccountStatus, Status } from '../admin/status.ts';
import type { ScheduleStatus } from '../airgap/commands.ts';
import { givenOf, hitRateOf, savedBytesOf, servedBytesOf, type Totals } from '../totals.ts';
import { formatBytes, formatDuration } from '../units.ts';
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
  totals,
  misses,
  prewarm,
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
    ...describePins(store),
    ...describeTotals(totals),
    ...upstreams.flatMap(({ host, url, isDefault, endpoints, restingUntil, accounts }) => {
      const rests = restingUntil === undefined ? '' : `, LIMITS THE RATE, not asked until ${restingUntil}`;
      const upstream = `upstream  ${host} at ${url}${isDefault ? ' (default)' : ''}${rests}`;
      return [
        upstream,
        ...endpoints.flatMap((endpoint) => describeEndpoint(endpoint, url)),
        ...accounts.filter(isTelling).map((account) => `account   ${host}: ${said(account)}`),
      ];
    }),
    ...prewarm.flatMap(describeSchedule),
    ...(misses > 0 ? [`misses    ${misses} noted: \`hubcap misses\` lists them`] : []),
    ...fills.map(({ digest, size, bytes, readers }) => {
      const of = size === undefined ? '' : ` of ${formatBytes(size)}`;
      return `fill      ${digest.slice(0, 19)} ${formatBytes(bytes)}${of}, ${readers} ${readers === 1 ? 'reader' : 'readers'}`;
    }),
  ];
  return `${lines.join('\n')}\n`;
}

function describeTotals(totals: Totals | undefined): string[] {
  const rate = totals && hitRateOf(totals);
  if (!totals || rate === undefined) return [];
  const { hits, fetched } = givenOf(totals);
  const percent = `${Math.floor(1000 * rate) / 10} % of ${hits + fetched} requests`;
  const bytes = `${formatBytes(servedBytesOf(totals))}, ${formatBytes(savedBytesOf(totals))} of it not fetched for it`;
  return [`served    ${bytes}; nothing was fetched for ${percent}`];
}

function describePins({ pins, pinnedBytes, maxBytes }: Status['store']): string[] {
  if (pins === 0) return [];
  const over = pinnedBytes > maxBytes ? ', MORE THAN THE STORE MAY HOLD' : '';
  return [`pinned    ${pins} ${pins === 1 ? 'reference' : 'references'}, ${formatBytes(pinnedBytes)}${over}`];
}

function describeSchedule({ list, everyS, state, last, nextAt }: ScheduleStatus): string[] {
  const next = state === 'waiting' ? (nextAt === undefined ? '' : `, next at ${nextAt}`) : `, ${state}`;
  const schedule = `prewarm   ${list} every ${formatDuration(everyS * 1000)}${next}`;
  if (!last) return [schedule];
  const { images, fetchedBytes, endedAt, message } = last;
  const failed = images.failed > 0 ? `, ${images.failed} FAILED` : '';
  const figures = `${images.done} of ${images.total} images, ${formatBytes(fetchedBytes)} fetched${failed}`;
  const why = message === undefined ? figures : `FAILED: ${message.replaceAll('\n', '\n          ')}`;
  return [schedule, `          last at ${endedAt}: ${why}`];
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

/** Who asks without a login and was never counted is not worth a line. */
function isTelling({ account, remaining, restingUntil, rejectedUntil }: AccountStatus): boolean {
  return (
    [remaining, restingUntil, rejectedUntil].some((fact) => fact !== undefined) ||
    !/^anonymous(@|$)/.test(account)
  );
}

function said({ account, limit, remaining, restingUntil, rejectedUntil }: AccountStatus): string {
  const left = remaining === undefined ? '' : `, ${remaining} of ${limit ?? '?'} pulls left`;
  const rests = restingUntil === undefined ? '' : `, pulls nothing until ${restingUntil}`;
  const rejected = rejectedUntil === undefined ? '' : `, LOGIN REFUSED, not tried until ${rejectedUntil}`;
  return `${account}${left}${rests}${rejected}`;
}
