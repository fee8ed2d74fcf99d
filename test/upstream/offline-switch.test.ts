import { readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import t from 'tap';
import { parseReference } from '../../src/oci/reference.ts';
import { UpstreamError } from '../../src/upstream/errors.ts';
import { OfflineSwitch } from '../../src/upstream/offline-switch.ts';
import { pause, withRetries } from '../../src/upstream/retry.ts';
import { connect, failureOf, repository, serve } from './registry.ts';

const never = new AbortController().signal;

t.test('who waits is told each time, who has ended waiting is not', async (t) => {
  const said: boolean[] = [];
  const offline = new OfflineSwitch(false, (isOffline) => said.push(isOffline));
  const given: string[] = [];
  offline.whenOffline(() => given.push('first'));
  const forget = offline.whenOffline(() => given.push('second'));
  t.equal(offline.set(false), false);
  t.equal(offline.set(true), true);
  t.same(given, ['first', 'second']);
  forget();
  t.equal(offline.set(true), false, 'it was');
  t.equal(offline.set(false), true);
  offline.refuse('registry.test');
  offline.set(true);
  t.same(given, ['first', 'second', 'first']);
  t.same(said, [true, false, true]);
  t.throws(
    () => offline.refuse('registry.test'),
    new UpstreamError('hubcap is offline: registry.test is not asked', {
      reason: 'offline',
      host: 'registry.test',
    }),
  );
});

t.test('a pause ends when it is turned, and none begins while it is offline', async (t) => {
  const offline = new OfflineSwitch(false);
  const pausing = pause(3_600_000, never, offline);
  offline.set(true);
  await pausing;
  await pause(3_600_000, never, offline);
  const reason = new Error('stopping');
  await t.rejects(pause(3_600_000, AbortSignal.abort(reason), offline), reason);
});

t.test('the attempt after a pause that was ended is the last one', async (t) => {
  const offline = new OfflineSwitch(false);
  let attempts = 0;
  const work = async (): Promise<never> => {
    attempts += 1;
    offline.refuse('registry.test');
    offline.set(true);
    throw new UpstreamError('it failed', { reason: 'refused', host: 'registry.test' });
  };
  t.match(await failureOf(withRetries(10, never, work, offline)), { reason: 'offline' });
  t.equal(attempts, 2);
});

t.test('offline, neither a registry nor a credential helper is asked', async (t) => {
  const directory = t.testdir({ 'config.json': JSON.stringify({ credsStore: 'counting' }), ran: '' });
  const ran = join(directory, 'ran');
  const script = `#!/bin/sh\nread server\necho "$server" >> ${ran}\necho '{"Username":"someone","Secret":"secret"}'\n`;
  await writeFile(join(directory, 'docker-credential-counting'), script, { mode: 0o755 });
  const path = process.env.PATH;
  process.env.PATH = `${directory}${delimiter}${path}`;
  t.teardown(() => {
    process.env.PATH = path;
  });
  const { url, seen } = await serve(t, ({ headers }, response) => {
    if (!headers.authorization) response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end();
    else response.end('{}');
  });
  const clock = { nowMs: 1_000_000 };
  const offline = new OfflineSwitch(false);
  const credentials = [{ kind: 'dockerConfig', file: join(directory, 'config.json') } as const];
  const { upstream, told } = connect(t, url, { credentials, offline, now: () => clock.nowMs });
  const tag = parseReference('latest');
  if (!tag) throw new Error('this is a tag');
  const timesRun = async (): Promise<number> => (await readFile(ran, 'utf8')).split('\n').length - 1;

  await upstream.manifest(repository, tag);
  t.equal(await timesRun(), 1, 'the helper was asked when upstream wanted a login');
  clock.nowMs += 3_600_000; // what it said is not believed for ever
  offline.set(true);
  const asked = [seen.length, told.answers.length];
  t.match(await failureOf(upstream.manifest(repository, tag)), { reason: 'offline' });
  t.match(await failureOf(upstream.isPublic(repository, 'manifest', 'manifests/latest')), {
    reason: 'offline',
  });
  t.same([seen.length, told.answers.length], asked, 'nobody was asked, and nothing counted');
  t.equal(await timesRun(), 1);
  offline.set(false);
  await upstream.manifest(repository, tag);
  t.equal(await timesRun(), 2);
});
