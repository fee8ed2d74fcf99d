/** Owns what every cell of the fault matrix runs against: a registry with tokens, a CDN where wanted, one hubcap. */
import type { Test } from 'tap';
import { type Cdn, startCdn } from '../../helpers/cdn.ts';
import type { Received } from '../../helpers/client.ts';
import type { Content } from '../../helpers/content.ts';
import { assertDiskIsTrue, leftoversOf } from '../../helpers/disk-truth.ts';
import { type RunningMirror, startMirror } from '../../helpers/mirror.ts';
import type { Persona } from '../../helpers/persona-server.ts';
import { redirecting, tokened } from '../../helpers/personas.ts';
import { type Registry, startRegistry } from '../../helpers/registry.ts';
import { startTokenServer, type TokenServer } from '../../helpers/token-server.ts';
import { type Gate, makeGate, until } from '../../helpers/waiting.ts';
import type { CellRun, Disk } from './cells.ts';

/** What hubcap holds back of large content until it is proven: a client cannot be shown it before. */
export const HELD_BACK_BYTES = 64 * 1024;

export interface Topology {
  registry: Registry;
  tokens: TokenServer;
  cdn: Cdn | undefined;
  mirror: RunningMirror;
  /** what stands between a client and the content; the registry plays it to those who have a token */
  act(...personas: Persona[]): void;
  /** opens at the end */
  never: Promise<void>;
}

/** A limit is short where the fault is to meet it, and never met by chance elsewhere. */
function timeoutsFor({ fault }: CellRun) {
  return { headersMs: fault === 'slow headers' ? 400 : 10_000, idleMs: fault === 'silent' ? 400 : 10_000 };
}

export interface TopologySettings {
  /** false: the registry serves the blobs itself */
  hasCdn?: boolean;
  /** what hubcap may keep; enough where it is left out */
  maxBytes?: number;
}

export async function startTopology(
  t: Test,
  cell: CellRun,
  settings: TopologySettings = {},
): Promise<Topology> {
  const never = makeGate();
  t.teardown(never.open);
  const [registry, tokens] = await Promise.all([startRegistry(t), startTokenServer(t)]);
  const cdn = settings.hasCdn ? await startCdn(t, () => registry) : undefined;
  const act = (...personas: Persona[]): void => {
    registry.act(tokened(tokens), ...(cdn ? [redirecting(cdn)] : personas));
    cdn?.act(...personas);
  };
  act();
  const mirror = await startMirror(t, {
    ...(settings.maxBytes !== undefined && { maxBytes: settings.maxBytes }),
    upstreams: {
      'registry.test': {
        at: registry,
        realms: [tokens.host],
        retries: cell.isOnce ? 2 : 1, // a break and one fault on the way back; what is for good is said soon
        tagTtlMs: 0,
        timeouts: timeoutsFor(cell),
      },
    },
  });
  return { registry, tokens, cdn, mirror, act, never: never.opened };
}

/** What is waited for before a fault strikes, so that it always finds the same state. */
export interface Before {
  /** bytes of the content that hubcap has: what is on its way when a connection ends may be lost */
  arrived: number;
  /** bytes that the client has; undefined where not even a head can come */
  shown: number | undefined;
}

/** Asks, and opens the gate when all is as it is to be before the fault. */
export async function getBeside(
  mirror: RunningMirror,
  path: string,
  gate: Gate,
  { arrived, shown }: Before,
): Promise<Received> {
  const opening = mirror.open(path);
  opening.catch(() => undefined); // awaited below
  const isHere = (): boolean => mirror.status().fills.some(({ bytes }) => bytes >= arrived);
  if (arrived > 0) await until(`${arrived} bytes have arrived`, isHere);
  if (shown !== undefined) await (await opening).receive(shown);
  gate.open();
  return await (await opening).ended;
}

/** Waits until all has come to its end, and holds that nothing is left behind. @returns what is kept of a content */
export async function settledDisk(t: Test, mirror: RunningMirror, { digest, body }: Content): Promise<Disk> {
  await mirror.settled();
  await until('no room is reserved', () => mirror.status().store.reservedBytes === 0);
  t.equal(await mirror.metric('hubcap_store_reserved_bytes'), 0, 'nothing stays reserved');
  t.equal(await mirror.metric('hubcap_fills_in_flight'), 0, 'nothing goes on');
  const truth = await assertDiskIsTrue(mirror.directory);
  t.same(leftoversOf(truth), [], 'nothing lies around in fills/');
  const stored = truth.blobs.get(digest);
  const [partial, ...others] = truth.partials.values();
  t.same(others, [], 'no second partial file');
  t.ok(truth.blobs.size <= 1, 'nothing else is stored');
  if (stored !== undefined && partial !== undefined) t.fail('it is stored and partial at once');
  if (stored !== undefined) return stored === body.length ? 'stored' : { partial: stored };
  return partial === undefined ? 'nothing' : { partial };
}
