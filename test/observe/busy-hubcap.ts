/** Owns two hubcaps with all that can happen to one: hits, misses, stale tags, limits, evictions, pins, schedules, faults. */
import type { Test } from 'tap';
import { blobOf, imageOf, KIB, MIB } from '../helpers/content.ts';
import { scheduleOf, writeList } from '../helpers/image-lists.ts';
import { type MirrorSettings, makeDirectory, type RunningMirror, startMirror } from '../helpers/mirror.ts';
import {
  failing,
  type Meter,
  metered,
  only,
  outOfPulls,
  pulls,
  stalling,
  tokened,
} from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { startTokenServer } from '../helpers/token-server.ts';
import { makeGate } from '../helpers/waiting.ts';

export interface BusyHubcaps {
  mirrors: readonly RunningMirror[];
  /** Has a little more of everything happen. To be called again and again; the same does not happen twice. */
  goOn(): Promise<void>;
}

const login = { username: 'anna', password: 'secret-of-anna' };
const held = blobOf(300 * KIB, 'held');
const image = (name: string) => imageOf(name, [200 * KIB]);

export async function startBusyHubcaps(t: Test): Promise<BusyHubcaps> {
  const home = await makeDirectory(t);
  const upstreams = await startUpstreams(t);
  const { metered: counting, plain, broken, limited, locked, tokens } = upstreams;
  const list = writeList(home, 'images.txt', 'plain.test/team/pinned:v1');
  const settings: MirrorSettings = {
    upstreams: {
      'metered.test': {
        ...{ at: counting, realms: [tokens.host], private: ['*'], tagTtlMs: 0 },
        credentials: [{ kind: 'password', ...login }],
      },
      'plain.test': { at: plain, tagTtlMs: 0, timeouts: { stallMs: 60_000 } },
      'broken.test': { at: broken, tagTtlMs: 0, timeouts: { probeMs: 200 } },
      'limited.test': { at: limited },
      'locked.test': {
        ...{ at: locked, realms: [tokens.host], private: ['*'] },
        credentials: [{ kind: 'password', username: 'eve', password: 'wrong' }],
      },
    },
    maxBytes: 2 * MIB,
    scrubBytesPerS: MIB,
    prewarm: [scheduleOf(list, { everyMs: 5_000 })],
  };
  const busy = await startMirror(t, settings);
  const quiet = await startMirror(t, { upstreams: { 'plain.test': { at: plain, tagTtlMs: 0 } } });
  const mirrors = [busy, quiet];
  await busy.manifest('/v2/team/app/manifests/kept?ns=broken.test');
  await broken.close();
  await holdReaders(t, plain, busy);
  await busy.manifest('/v2/team/app/manifests/any?ns=limited.test');
  await busy.manifest('/v2/team/app/manifests/any?ns=locked.test');
  let step = 0;
  const goOn = async (): Promise<void> => {
    step += 1;
    await visit(upstreams, mirrors, `step ${step}`);
    if (step % 10 === 5) await busy.reload(settings);
  };
  return { mirrors, goOn };
}

async function startUpstreams(t: Test) {
  const [counting, plain, broken, limited, locked] = await Promise.all(
    [1, 2, 3, 4, 5].map(() => startRegistry(t)),
  );
  if (!counting || !plain || !broken || !limited || !locked) throw new Error('five were started');
  const tokens = await startTokenServer(t, { login });
  const meter: Meter = { left: { anna: 10_000 }, said: { limit: 10_000, windowS: 21_600 }, pulled: [] };
  counting.act(tokened(tokens), metered(tokens, meter));
  limited.act(only(pulls, outOfPulls({ 'retry-after': '3600' })));
  locked.act(tokened(tokens));
  plain.push('team/pinned', image('pinned'), 'v1');
  broken.push('team/app', image('kept'), 'kept');
  return { metered: counting, plain, broken, limited, locked, tokens };
}

/** Two clients read a download that stands still until the test ends. */
async function holdReaders(t: Test, plain: Registry, mirror: RunningMirror): Promise<void> {
  plain.push('team/held', held);
  const gate = makeGate();
  t.teardown(() => gate.open());
  plain.act(
    only(({ path }) => path.includes(held.digest), stalling(150 * KIB, gate.opened)),
    only(({ path }) => path.includes('/team/faulty/'), failing(500)),
  );
  for (let reader = 0; reader < 2; reader++) {
    const { receive } = await mirror.open(`/v2/team/held/blobs/${held.digest}?ns=plain.test`);
    await receive(KIB);
  }
}

/** New images through both, some of which is asked for again; what is absent; what cannot be had. */
async function visit(
  { metered: counting, plain }: { metered: Registry; plain: Registry },
  [busy, quiet]: readonly RunningMirror[],
  name: string,
): Promise<void> {
  if (!busy || !quiet) return;
  const tag = name.replace(' ', '-');
  const fresh = image(name);
  const layer = fresh.layers[0]?.digest;
  for (const registry of [counting, plain]) registry.push('team/app', fresh, tag);
  for (const host of ['metered.test', 'plain.test']) {
    const via = `?ns=${host}`;
    for (const path of [
      `manifests/${tag}`,
      `manifests/${tag}`,
      `blobs/${layer}`,
      `blobs/${layer}`,
      'manifests/none',
    ])
      await busy.get(`/v2/team/app/${path}${via}`);
  }
  await busy.manifest('/v2/team/app/manifests/kept?ns=broken.test');
  await busy.manifest(`/v2/team/app/manifests/${tag}?ns=broken.test`);
  await busy.manifest(`/v2/team/faulty/manifests/${tag}?ns=plain.test`);
  await busy.manifest('/v2/team/app/manifests/any?ns=limited.test');
  await quiet.manifest(`/v2/team/app/manifests/${tag}`);
  await quiet.get(`/v2/team/app/blobs/${layer}`);
}
