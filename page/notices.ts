/** Owns what somebody has to know before anything else: what is wrong, what it means, what to do. Pure. */
import type { PageStatus } from '../src/admin/status.ts';
import { formatBytes } from '../src/units.ts';
import { endpointWords, isLow, type Level, upstreamWords } from './upstream-words.ts';
import { countOf, formatCount, formatMoment, listWords } from './words.ts';

export interface Notice {
  key: string;
  level: Level;
  title: string;
  text: string;
  /** what to type on the machine of hubcap, where that helps */
  command: string | undefined;
}

/**
 * @param notReady why hubcap is not ready, as `/readyz` says it
 * @param nowMs by the clock of the daemon
 * @returns the worst first
 */
export function noticesOf(status: PageStatus, notReady: readonly string[], nowMs: number): Notice[] {
  const found = [
    ...diskNotices(status, notReady),
    ...(status.isOffline ? [OFFLINE] : []),
    ...allUpstreamNotices(status, nowMs),
    ...pinNotices(status),
    ...restartNotices(status),
    ...scheduleNotices(status, nowMs),
  ];
  return found.sort((a, b) => ORDER.indexOf(a.level) - ORDER.indexOf(b.level));
}

const ORDER: readonly Level[] = ['bad', 'warn', 'off', 'good'];

const OFFLINE: Notice = {
  key: 'offline',
  level: 'off',
  title: 'hubcap is offline: no upstream is asked',
  text: 'What is here is served, whatever its age. What is not here is answered with 404 and noted in the list of misses.',
  command: 'hubcap offline off',
};

/** What `/readyz` says while hubcap ends: no trouble of the disk. */
const STOPPING: Notice = {
  key: 'stopping',
  level: 'off',
  title: 'hubcap is stopping',
  text: 'Pulls that run are brought to their end as far as there is time; nothing new is taken.',
  command: undefined,
};

function diskNotices({ store, directory }: PageStatus, notReady: readonly string[]): Notice[] {
  if (notReady.includes('stopping')) return [STOPPING];
  const reasons = store.isWritable || notReady.length > 0 ? notReady : ['it does not say why'];
  if (reasons.length === 0) return [];
  return [
    {
      key: 'disk',
      level: 'bad',
      title: store.isWritable ? 'hubcap is not ready' : 'The disk refuses: nothing new is stored',
      text: `${sentence(reasons.join('; '))} Pulls go on, without caching. Check room, permissions and the kernel's log; hubcap tries again by itself.`,
      command: `df -h ${quote(directory)}; df -i ${quote(directory)}; dmesg | tail`,
    },
  ];
}

type Upstream = PageStatus['upstreams'][number];

/** So many that are down are told one by one: more of them are one trouble, mostly that of the way to all. */
const DOWN_APART = 3;

function allUpstreamNotices({ upstreams, isOffline }: PageStatus, nowMs: number): Notice[] {
  const down = upstreams.filter((upstream) => upstreamWords(upstream, isOffline, nowMs).label === 'down');
  const isCrowd = down.length > DOWN_APART;
  const apart = upstreams.flatMap((upstream) => {
    const notices = upstreamNotices(upstream, isOffline, nowMs);
    return isCrowd
      ? notices.filter(({ key }) => key !== `upstream ${upstream.host}` || !down.includes(upstream))
      : notices;
  });
  if (!isCrowd) return apart;
  const together: Notice = {
    key: 'upstreams down',
    level: 'bad',
    title: `${down.length} of ${countOf(upstreams.length, 'upstream')} are down`,
    text: `${listWords(down.map(({ host }) => host))}: why is said with each of them. What is here is served, unconfirmed. What is not here fails. hubcap tries again by itself. If it stays so, look at the network between here and there.`,
    command: undefined,
  };
  return [together, ...apart];
}

function upstreamNotices(upstream: Upstream, isOffline: boolean, nowMs: number): Notice[] {
  const { host, endpoints, accounts } = upstream;
  const { level, label, detail = '' } = upstreamWords(upstream, isOffline, nowMs);
  const notices: Notice[] = [];
  if (level === 'bad') {
    const why = endpoints.flatMap((endpoint) => endpointWords(endpoint) ?? []).join('; ');
    const advice =
      label === 'down'
        ? ' hubcap tries again by itself. If it stays so, look at the network between here and there.'
        : '';
    notices.push({
      key: `upstream ${host}`,
      level,
      title: `${host}: ${label}`,
      text: `${label === 'down' && why !== '' ? `${sentence(why)} ` : ''}${detail}${advice}`,
      command: undefined,
    });
  }
  const refused = accounts.filter(
    ({ rejectedUntil }) => rejectedUntil !== undefined && Date.parse(rejectedUntil) > nowMs,
  );
  if (refused.length > 0)
    notices.push({
      key: `login ${host}`,
      level: 'warn',
      title: `${host} refuses ${refused.length === 1 ? 'a login' : 'logins'}: ${listWords(refused.map(({ account }) => account))}`,
      text: 'Correct the name or the password in the configuration, then reload it.',
      command: 'hubcap reload',
    });
  if (level !== 'bad' && !isOffline && accounts.length > 0 && accounts.every(isLow))
    notices.push({
      key: `pulls ${host}`,
      level: 'warn',
      title: `${host}: few pulls are left`,
      text: `${accounts.map(({ account, remaining }) => `${account}: ${formatCount(remaining ?? 0)}`).join(', ')}. When none is left, what is not here fails until the window ends. Another login, or a nearer mirror, helps.`,
      command: undefined,
    });
  return notices;
}

function pinNotices({ store }: PageStatus): Notice[] {
  if (store.pinnedBytes <= store.maxBytes) return [];
  return [
    {
      key: 'pins',
      level: 'warn',
      title: 'More is pinned than the store may hold',
      text: `${formatBytes(store.pinnedBytes)} are pinned, and storage.maxSize is ${formatBytes(store.maxBytes)}: nothing else stays. Raise it, or unpin what is not needed.`,
      command: 'hubcap images --pinned',
    },
  ];
}

function restartNotices({ configuration }: PageStatus): Notice[] {
  const keys = configuration?.needsRestart ?? [];
  if (keys.length === 0) return [];
  return [
    {
      key: 'restart',
      level: 'warn',
      title: `${countOf(keys.length, 'changed setting')} ${keys.length === 1 ? 'waits' : 'wait'} for a restart`,
      text: `${sentence(listWords(keys))} The old ${keys.length === 1 ? 'value holds' : 'values hold'} until hubcap is started again.`,
      command: undefined,
    },
  ];
}

function scheduleNotices({ prewarm }: PageStatus, nowMs: number): Notice[] {
  return prewarm.flatMap(({ list, last }) => {
    if (last?.result !== 'failed') return [];
    const { failed, total } = last.images;
    const why =
      last.message ??
      (failed > 0
        ? `${formatCount(failed)} of ${countOf(total, 'image')} could not be fetched`
        : 'it did not end');
    return [
      {
        key: `prewarm ${list}`,
        level: 'warn' as const,
        title: `Prewarm of ${list} failed`,
        text: `At ${formatMoment(Date.parse(last.endedAt), nowMs)}: ${sentence(why)}`,
        command: undefined,
      },
    ];
  });
}

/** @returns with a capital at its beginning and a full stop at its end */
function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** As a shell reads it. */
function quote(path: string): string {
  return /^[\w./+:@-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
