/** Owns what becomes of what the rooms tell: metrics and log lines. */
import { STATUS_CODES } from 'node:http';
import { performance } from 'node:perf_hooks';
import type { PullCount, UpstreamRest } from './gauges.ts';
import type { Exchange } from './http/exchange.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { MirroredUpstream } from './mirror/mirrored-upstream.ts';
import { isToBeNoted, MISS_REASONS, type Refusal } from './mirror/miss-reason.ts';
import type { Repository } from './oci/reference.ts';
import type { RequestKind } from './outcome.ts';
import { isEviction, REMOVAL_REASONS, type StoreObserver } from './store/disk-store.ts';
import { FILL_RESULTS } from './store/fills.ts';
import { FINDING_KINDS } from './store/findings.ts';
import type { Misses } from './store/misses.ts';
import { TOKEN_RESULTS, type UpstreamObserver } from './upstream/asker.ts';
import { FAILURE_REASONS, type FailureReason } from './upstream/errors.ts';

/** The disk may refuse a thousand times a second; the log hears of it this often. */
const STORAGE_LOG_INTERVAL_MS = 5_000;
/** A store of which nothing is left would fill the log; all is counted. */
const MAX_FINDINGS_LOGGED = 20;

/** So often at most the log hears of questions to an upstream that fail for the same reason; all are counted. */
const FAILURE_LOG_INTERVAL_MS = 5_000;

/** The state of the disk as the store last found it. */
export interface DiskHealth {
  isWritable: boolean;
  reason: string | undefined;
}

export function observeStore(metrics: Metrics, log: Logger, health: DiskHealth): StoreObserver {
  let quietUntil = 0;
  const findings = { until: 0, said: 0, unsaid: 0 };
  for (const reason of REMOVAL_REASONS) metrics.evictions.inc({ reason }, 0);
  for (const result of FILL_RESULTS) metrics.fills.inc({ result }, 0);
  for (const kind of FINDING_KINDS) metrics.storeFindings.inc({ kind }, 0);
  return {
    removed: (reason, bytes, idleMs) => {
      metrics.evictions.inc({ reason });
      metrics.evictedBytes.inc(bytes);
      if (isEviction(reason) && idleMs !== undefined) metrics.evictedIdle.observe(idleMs / 1000);
    },
    found: (finding) => {
      metrics.storeFindings.inc({ kind: finding.what });
      const nowMs = performance.now();
      if (nowMs > findings.until) {
        findings.until = nowMs + STORAGE_LOG_INTERVAL_MS;
        findings.said = 0;
      }
      findings.said += 1;
      if (findings.said > MAX_FINDINGS_LOGGED) {
        findings.unsaid += 1;
        return;
      }
      const { unsaid } = findings;
      findings.unsaid = 0;
      log.warn({ ...finding, ...(unsaid > 0 && { unsaid }) }, 'something is wrong in the store');
    },
    fillEnded: (result, error) => {
      metrics.fills.inc({ result });
      if (result === 'mismatch') log.error({ error }, 'upstream sent wrong content');
      else if (error !== undefined && result !== 'stopped') log.warn({ error, result }, 'fill ended early');
    },
    discarded: (error) => {
      metrics.fillDiscards.inc();
      log.warn({ error }, 'upstream sent wrong content: it is asked once more');
    },
    storageFailed: (error) => {
      metrics.storageErrors.inc();
      health.isWritable = false;
      health.reason = error.message;
      if (performance.now() < quietUntil) return;
      quietUntil = performance.now() + STORAGE_LOG_INTERVAL_MS;
      log.error({ error }, 'the disk refuses; serving goes on without caching');
    },
    storageWorks: () => {
      if (!health.isWritable) log.info('the disk works again');
      health.isWritable = true;
      health.reason = undefined;
    },
  };
}

/** Of an upstream that is configured, all is counted from 0: what happens first is an increase too. */
export function introduceUpstream(metrics: Metrics, upstream: string): void {
  metrics.introduce(upstream);
  for (const reason of FAILURE_REASONS)
    if (reason !== 'offline') metrics.upstreamFailures.inc({ upstream, reason }, 0);
  for (const result of TOKEN_RESULTS) metrics.tokens.inc({ upstream, result }, 0);
  for (const reason of MISS_REASONS) metrics.misses.inc({ upstream, reason }, 0);
}

export function observeUpstream(metrics: Metrics, log: Logger, upstream: string): UpstreamObserver {
  const failures = new Map<FailureReason, { quietUntil: number; unsaid: number }>();
  const isCounted = (): boolean => metrics.isKnown(upstream);
  return {
    answered: (kind, status, durationMs) => {
      if (!isCounted()) return;
      metrics.upstreamRequests.inc({ upstream, kind, status: statusLabel(status) });
      metrics.upstreamDuration.observe({ upstream, kind }, durationMs / 1000);
      if (status !== 'none' && status < 500) metrics.upstreamUp.set({ upstream }, 1);
    },
    received: metrics.receivedFrom(upstream),
    token: (result) => {
      if (isCounted()) metrics.tokens.inc({ upstream, result });
    },
    resumed: () => metrics.fillResumes.inc(),
    rejected: (account, error) =>
      log.warn(
        { upstream, account, error },
        'a login is not used for a while: correct it, and `hubcap reload`',
      ),
    failed: (error) => {
      const { reason, isFromMemory } = error;
      if (isFromMemory || reason === 'offline') return;
      if (isCounted()) {
        metrics.upstreamFailures.inc({ upstream, reason });
        if (OUTAGES.has(reason)) metrics.upstreamUp.set({ upstream }, 0);
      }
      // The line of a request that is served stale does not say why: this one does.
      const { quietUntil, unsaid } = failures.get(reason) ?? { quietUntil: 0, unsaid: 0 };
      const nowMs = performance.now();
      const isSaid = nowMs >= quietUntil;
      failures.set(reason, {
        quietUntil: isSaid ? nowMs + FAILURE_LOG_INTERVAL_MS : quietUntil,
        unsaid: isSaid ? 0 : unsaid + 1,
      });
      if (isSaid && reason !== 'denied' && reason !== 'stopped')
        log.warn({ upstream, reason, error, ...(unsaid > 0 && { unsaid }) }, 'upstream could not say');
    },
    endpoint: (endpoint, state, failure) => {
      if (isCounted()) {
        metrics.endpointUp.set({ upstream, endpoint }, state === 'down' ? 0 : 1);
        // It was tried again because nobody asked: no question says so.
        if (state === 'up') metrics.upstreamUp.set({ upstream }, 1);
      }
      if (state === 'up') log.info({ upstream, endpoint }, 'upstream answers again');
      else
        log.warn(
          { upstream, endpoint, state, reason: failure?.reason, error: failure },
          state === 'down'
            ? 'upstream is left alone for a while'
            : 'upstream is slow: it is asked only for what is not known',
        );
    },
  };
}

/** A registry can send any three digits; as a label there is room for those that mean something. */
function statusLabel(status: number | 'none'): string {
  return status === 'none' || STATUS_CODES[status] !== undefined ? String(status) : 'other';
}

/** No endpoint gave an answer that a registry gives. */
const OUTAGES: ReadonlySet<FailureReason> = new Set([
  'dns',
  'refused',
  'tls',
  'reset',
  'timeout',
  'server-error',
  'html',
]);

/** What is not asked of the upstreams now, for the metrics. */
export function* restsOf(upstreams: readonly MirroredUpstream[], nowMs: number): Generator<UpstreamRest> {
  for (const { host: upstream, client } of upstreams) {
    const { restingUntilMs, accounts } = client;
    const rests = [
      { account: '', reason: 'requests' as const, untilMs: restingUntilMs },
      ...accounts.flatMap(({ account, ...rest }) => [
        { account, reason: 'pulls' as const, untilMs: rest.restingUntilMs },
        { account, reason: 'rejected' as const, untilMs: rest.rejectedUntilMs },
      ]),
    ];
    for (const { untilMs, ...labels } of rests)
      if (untilMs !== undefined) yield { upstream, ...labels, seconds: Math.max(0, untilMs - nowMs) / 1000 };
  }
}

/** What the upstreams last said of pulls, as long as it holds, for the metrics. Whoever met its limit has none left. */
export function* pullCountsOf(upstreams: readonly MirroredUpstream[]): Generator<PullCount> {
  for (const { host: upstream, client } of upstreams) {
    for (const { account, limit, remaining, windowS, isCurrent, restingUntilMs } of client.accounts) {
      const isResting = restingUntilMs !== undefined;
      if (isCurrent) yield { upstream, account, limit, remaining: isResting ? 0 : remaining, windowS };
      else if (isResting) yield { upstream, account, limit: undefined, remaining: 0, windowS: undefined };
    }
  }
}

/** Said whenever it is turned while hubcap runs. */
export function observeOffline(log: Logger): (isOffline: boolean) => void {
  return (isOffline) => {
    if (isOffline) log.warn('offline: nobody is asked, what is known is served whatever its age');
    else log.info('online again: upstreams are asked');
  };
}

/** What a client asked for and was not given. */
export interface Missed {
  upstream: string;
  repository: Repository | undefined;
  reference: string | undefined;
  kind: RequestKind;
  refusal: Refusal;
}

/** Onto the miss list, where it is something that can be fetched. */
export function noteMisses(misses: Misses, now: () => number): (missed: Missed) => void {
  return ({ upstream, repository, reference = '', kind, refusal: { reason, cause } }) => {
    if (!repository || kind === 'other' || kind === 'base' || kind === 'catalog') return;
    const why = cause === undefined ? reason : `${reason}/${cause}`;
    misses.note({ upstream, repository, reference, kind, reason: why }, now());
  };
}

/** One line and one count per request; what was refused is told to `note`. */
export function observeRequests(metrics: Metrics, general: Logger, note: (missed: Missed) => void) {
  // Its fields are chosen here, one by one; searching them for secrets would cost a tenth of a cached manifest.
  const log = general.child({}, { redact: [] });
  return (
    { request, response, record }: Exchange,
    { durationMs, firstByteMs, isAborted }: { durationMs: number; firstByteMs: number; isAborted: boolean },
  ): void => {
    const { kind, outcome, upstream, source, bytes, error } = record;
    metrics.request(upstream, kind, outcome, firstByteMs / 1000);
    if (source) metrics.served(upstream, source, bytes);
    const refusal = isAborted ? undefined : record.refusal; // a client that leaves was not refused anything
    if (refusal) {
      if (metrics.isKnown(upstream)) metrics.misses.inc({ upstream, reason: refusal.reason });
      if (isToBeNoted(refusal)) note({ ...record, refusal });
    }
    const { statusCode } = response;
    const isOurFault = statusCode === 500;
    const level = isOurFault ? 'error' : statusCode >= 429 || outcome === 'stale' ? 'warn' : 'info';
    if (!log.isLevelEnabled(level)) return;
    log[level](
      {
        method: request.method,
        upstream,
        repository: record.repository,
        reference: record.reference,
        ...(record.repository === undefined && { path: request.url?.replace(/\?.*$/s, '').slice(0, 200) }),
        kind,
        outcome,
        ...(response.headersSent && { status: statusCode }),
        bytes,
        ms: round(durationMs),
        firstByteMs: round(firstByteMs),
        client: request.socket.remoteAddress,
        agent: request.headers['user-agent']?.slice(0, 120),
        ...(refusal && { reason: refusal.cause ?? refusal.reason }),
        ...(isAborted && { aborted: true }),
        ...(error !== undefined && { error }),
      },
      'request',
    );
  };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
