/** What an upstream in trouble is asked, how long clients wait for it, and where the secrets go. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { startCdn } from '../../test/helpers/cdn.ts';
import { ANY_MANIFEST, fetch } from '../../test/helpers/client.ts';
import { imageOf } from '../../test/helpers/content.ts';
import type { Persona } from '../../test/helpers/persona-server.ts';
import { failing, manifests, only, redirecting, silent, tokened } from '../../test/helpers/personas.ts';
import { type Registry, startRegistry } from '../../test/helpers/registry.ts';
import { startTokenServer } from '../../test/helpers/token-server.ts';
import { makeGate } from '../../test/helpers/waiting.ts';
import { type Contestant, type Context, type Scenario, Sheet } from '../scenario.ts';
import { startDockerRegistry } from '../servers/docker-registry.ts';
import { startHubcap } from '../servers/hubcap.ts';
import { format } from '../statistics.ts';
import { Teardown } from '../teardown.ts';

const repository = 'bench/trouble';
const image = imageOf('trouble', [100_000]);
const tagTtlMs = 2_000;
const periods = 4;
const login = { username: 'fleet', password: 'a-password-nobody-may-see' };

const moving = `200 pulls of one tag over ${periods} tagTtl`;
const cold = '50 cold requests in one repository';
const unknown = '40 requests for an unknown tag after a 429';
const blackHole = 'known tag, upstream black-holed';
const secrets = 'passwords and tokens in logs, errors, metrics, status, a foreign realm, a CDN';

export const trouble: Scenario = {
  name: 'trouble',
  describe: 'an upstream that counts, limits the rate, or says nothing',
  needs: ['docker-registry'],
  async run(context) {
    const sheet = new Sheet();
    for (const contestant of ['hubcap', 'docker-registry'] as const) {
      for (const measure of [pullOverPeriods, askCold, askWhileLimited, askBlackHole]) {
        const fresh = new Teardown();
        try {
          await measure({ context, sheet, contestant, fresh });
        } finally {
          await fresh.run();
        }
      }
    }
    await lookForSecrets(context, sheet);
    return { measurements: sheet.measurements, checks: checks(sheet) };
  },
};

interface Rig {
  context: Context;
  sheet: Sheet;
  contestant: Contestant;
  /** what one measure starts, it ends */
  fresh: Teardown;
}

/** The persona registry of the tests with one image, and a mirror of it that has nothing yet. */
async function begin({ fresh, contestant }: Rig, upstream: object, ...personas: Persona[]) {
  const registry = await startRegistry(fresh.asTest());
  registry.push(repository, image, 'latest');
  registry.act(...personas);
  const { url } =
    contestant === 'hubcap'
      ? await startHubcap(fresh, { upstreamUrl: registry.url, upstream })
      : await startDockerRegistry(fresh, registry.url);
  return { registry, manifest: (tag: string) => fetchManifest(url, tag) };
}

async function fetchManifest(url: string, reference: string, method: 'GET' | 'HEAD' = 'GET') {
  return await fetch(`${url}/v2/${repository}/manifests/${reference}`, { method, headers: ANY_MANIFEST });
}

/** Fifty clients at once, once in each period and right after its end. */
async function pullOverPeriods(rig: Rig): Promise<void> {
  const { registry, manifest } = await begin(rig, { tagTtl: `${tagTtlMs}ms` });
  await manifest('latest');
  const before = { head: registry.count('HEAD'), get: registry.count('GET', '/manifests/') };
  for (let period = 0; period < periods; period++) {
    await wait(tagTtlMs + 50);
    const answers = await Promise.all(Array.from({ length: 50 }, () => manifest('latest')));
    if (answers.some(({ status }) => status !== 200)) throw new Error('a pull failed');
  }
  note(rig, moving, 'HEAD upstream', registry.count('HEAD') - before.head);
  note(rig, moving, 'GET upstream', registry.count('GET', '/manifests/') - before.get);
}

async function askCold(rig: Rig): Promise<void> {
  const tokens = await startTokenServer(rig.fresh.asTest());
  const { registry, manifest } = await begin(rig, { realms: [tokens.host] }, tokened(tokens));
  const tags = Array.from({ length: 50 }, (_, n) => `tag-${n}`);
  for (const tag of tags) registry.push(repository, image, tag);
  const answers = await Promise.all(tags.map(manifest));
  if (rig.contestant === 'hubcap' && answers.some(({ status }) => status !== 200))
    throw new Error('a request failed');
  note(rig, cold, 'tokens', tokens.issued.length);
}

async function askWhileLimited(rig: Rig): Promise<void> {
  const { registry, manifest } = await begin(rig, {});
  const limit = JSON.stringify({
    errors: [{ code: 'TOOMANYREQUESTS', message: 'You have reached your pull rate limit.' }],
  });
  registry.act(
    only(manifests, () => ({ status: 429, headers: { 'retry-after': '60' }, body: Buffer.from(limit) })),
  );
  const before = registry.asked.length;
  for (let n = 0; n < 40; n++) await manifest('never-seen');
  note(rig, unknown, 'requests upstream', registry.asked.length - before);
}

async function askBlackHole(rig: Rig): Promise<void> {
  const { registry, manifest } = await begin(rig, { tagTtl: '0s' });
  await manifest('latest');
  const gate = makeGate();
  rig.fresh.add(gate.open);
  registry.act(silent(gate.opened));
  for (const unit of ['ms, first request', 'ms, next request']) {
    const startMs = performance.now();
    // docker-registry waits for as long as upstream is silent: nobody waits for longer than a minute here.
    const answer = await Promise.race([manifest('latest'), wait(60_000)]);
    if (rig.contestant === 'hubcap' && answer?.status !== 200) throw new Error('it was known');
    note(rig, blackHole, unit, performance.now() - startMs);
    if (!answer) return;
  }
}

/** A login whose way leads over a token server, a CDN, a stranger's realm and every kind of failure. */
async function lookForSecrets({ say }: Context, sheet: Sheet): Promise<void> {
  const fresh = new Teardown();
  try {
    const rig = await makeSecretRig(fresh);
    const seen = [await rig.seen(), ...rig.strangers()].join('\n');
    const basic = Buffer.from(`${login.username}:${login.password}`).toString('base64');
    const wanted = [login.password, basic, ...rig.tokens.issued];
    const leaks = wanted.filter((secret) => seen.includes(secret)).length;
    if (!rig.tokens.shown.includes(`Basic ${basic}`)) throw new Error('the login was never used');
    sheet.note(secrets, 'found', 'hubcap', leaks);
    say(`${secrets}: ${leaks} of ${wanted.length} secrets in ${seen.length} characters`);
  } finally {
    await fresh.run();
  }
}

async function makeSecretRig(fresh: Teardown) {
  const registry: Registry = await startRegistry(fresh.asTest());
  registry.push(repository, image, 'latest');
  const tokens = await startTokenServer(fresh.asTest(), { login });
  const stranger = await startTokenServer(fresh.asTest());
  const cdn = await startCdn(fresh.asTest(), () => registry);
  const upstream = { realms: [tokens.host], credentials: [login], private: ['*'], tagTtl: '0s', retries: 0 };
  const hubcap = await startHubcap(fresh, { upstreamUrl: registry.url, upstream });
  const answers: string[] = [];
  const ask = async (path: string): Promise<void> => {
    const { headers, body } = await fetch(`${hubcap.url}/v2/${repository}/${path}`, {
      headers: ANY_MANIFEST,
    });
    answers.push(JSON.stringify(headers), body.toString('latin1'));
  };
  for (const personas of [
    [tokened(tokens), redirecting(cdn)],
    [tokened(stranger)],
    [failing(401)],
    [failing(403)],
    [failing(429)],
    [failing(500)],
  ]) {
    registry.act(...personas);
    for (const path of [
      'manifests/latest',
      `blobs/${image.layers[0]?.digest}`,
      'manifests/none',
      'tags/list',
    ])
      await ask(path);
  }
  const seen = async (): Promise<string> => {
    for (const path of ['/metrics', '/api/status'])
      answers.push((await fetch(hubcap.adminUrl + path)).body.toString());
    return [...answers, await readFile(join(hubcap.dataDirectory, '..', 'hubcap.log'), 'utf8')].join('\n');
  };
  const strangers = (): string[] =>
    [...stranger.asked, ...cdn.asked].map(
      ({ url, headers, form }) => `${url} ${JSON.stringify(headers)} ${form}`,
    );
  return { tokens, seen, strangers };
}

function note({ context, sheet, contestant }: Rig, name: string, unit: string, value: number): void {
  sheet.note(name, unit, contestant, value);
  context.say(`${name}, ${contestant}: ${format(value)} ${unit}`);
}

function checks(sheet: Sheet) {
  const atMost = (name: string, unit: string, most: number) => {
    const found = Math.max(...sheet.rounds(name, unit, 'hubcap'));
    return { name: `${name}: ${unit}`, target: `≤ ${most}`, found: format(found), passed: found <= most };
  };
  return [
    atMost(moving, 'HEAD upstream', 5),
    atMost(moving, 'GET upstream', 0),
    atMost(cold, 'tokens', 2),
    atMost(unknown, 'requests upstream', 3),
    atMost(blackHole, 'ms, first request', 5000),
    atMost(blackHole, 'ms, next request', 100),
    atMost(secrets, 'found', 0),
  ];
}
