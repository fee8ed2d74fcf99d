import { writeFileSync } from 'node:fs';
import { truncate, unlink } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { json } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { connectControl } from '../../src/admin/control-client.ts';
import { RefusedError } from '../../src/refused-error.ts';
import { Layout } from '../../src/store/layout.ts';
import { run } from '../helpers/command.ts';
import { type Content, imageOf, indexOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';

const amd64 = imageOf('amd64', [MIB, 2 * MIB]);
const arm64 = imageOf('arm64', [MIB]);
const index = indexOf({ amd64, arm64 });

async function startPulled(t: Test) {
  const registry = await startRegistry(t);
  registry.push('team/app', index, 'latest');
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const pull = async ({ digest, body }: Content): Promise<string | undefined> => {
    const received = await mirror.get(`/v2/team/app/blobs/${digest}`);
    t.ok(received.body.equals(body), 'right');
    await mirror.settled();
    return received.headers['cache-status']?.toString();
  };
  await mirror.manifest('/v2/team/app/manifests/latest');
  await mirror.manifest(`/v2/team/app/manifests/${amd64.manifest.digest}`);
  for (const content of [amd64.config, ...amd64.layers]) await pull(content);
  return { registry, mirror, pull, layout: new Layout(mirror.directory), data: ['--data', mirror.directory] };
}

t.test('a store that is as it should be, of a running daemon and without one', async (t) => {
  const { mirror, data } = await startPulled(t);
  const running = await run('verify', ...data);
  t.match(running, { code: 0, stdout: /5 objects are what the digest says.*\nnothing is wrong/ });
  const one = await run('verify', 'team/app', '--json', ...data);
  t.equal(one.code, 0);
  const lines = one.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.match(lines.at(-1), { kind: 'report', objects: 5, absent: 1, isClean: true });
  t.match(
    (await run('verify', 'registry.test/team/app:latest', ...data)).stdout,
    '1 that belong to it are not',
  );
  await mirror.close();
  t.match(await run('verify', `registry.test/team/app@${index.manifest.digest}`, ...data), { code: 0 });
});

t.test('damage is reported, set aside, and fetched again by the next pull', async (t) => {
  const { mirror, pull, layout, data } = await startPulled(t);
  const [first, second] = amd64.layers as [Content, Content];
  writeFileSync(layout.blob(first.digest), Buffer.alloc(MIB));
  await unlink(layout.blob(second.digest));
  const { code, stdout, stderr } = await run('verify', ...data);
  t.equal(code, 1);
  t.match(stdout, `damaged  ${first.digest} (1MiB), set aside`);
  t.match(stdout, `missing  ${second.digest}, forgotten`);
  t.match(stderr, 'hubcap: the store was not as it should be: ');
  t.notMatch(stderr, /\n\s+at /);
  t.equal(await mirror.metric('hubcap_store_findings_total', 'damaged'), 1);
  t.equal(await mirror.metric('hubcap_store_findings_total', 'missing'), 1);
  for (const content of [first, second]) t.equal(await pull(content), 'hubcap; fwd=miss; stored');
  t.equal((await run('verify', ...data)).code, 0);
});

t.test('damage is found where no daemon runs, and does not come back with the next one', async (t) => {
  const { registry, mirror, layout, data } = await startPulled(t);
  const [layer] = amd64.layers as [Content];
  await mirror.close();
  await truncate(layout.blob(layer.digest), 1000);
  t.match(await run('verify', 'registry.test/team/app', ...data), {
    code: 1,
    stdout: new RegExp(`damaged  ${layer.digest}`),
  });
  const next = await startMirror(t, {
    upstreams: { 'registry.test': { at: registry } },
    directory: mirror.directory,
  });
  const received = await next.get(`/v2/team/app/blobs/${layer.digest}`);
  t.ok(received.body.equals(layer.body));
});

t.test('what is not known is a clear error; what is no name, a usage error', async (t) => {
  const { data } = await startPulled(t);
  const [unknown, elsewhere, noName] = await Promise.all([
    run('verify', 'team/other', ...data),
    run('verify', 'ghcr.io/team/app', ...data),
    run('verify', 'Team App', ...data),
  ]);
  t.match(unknown, {
    code: 1,
    stderr: /^hubcap: team\/other is not in the store: `hubcap images` lists what is\n$/,
  });
  t.match(elsewhere, { code: 1, stderr: /is not in the store/ });
  t.match(noName, { code: 2, stderr: /is no image name/ });
});

t.test('a verification that nobody reads does not hold up the end', async (t) => {
  const { mirror } = await startPulled(t);
  const control = await connectControl([join(mirror.directory, 'control.sock')]);
  const events = control?.verify(undefined)[Symbol.asyncIterator]();
  t.match(await events?.next(), { done: false });
  await mirror.close();
  const rest = async (): Promise<void> => {
    while (!(await events?.next())?.done);
  };
  await rest().catch(() => undefined); // cut off, or it had all been said before
  t.notOk(mirror.logs.some((line) => line.includes('does not end')));
});

t.test('one at a time; who leaves ends it', async (t) => {
  const { mirror } = await startPulled(t);
  const socketPath = join(mirror.directory, 'control.sock');
  const control = await connectControl([socketPath]);
  if (!control) return t.fail('no daemon');
  const events = control.verify(undefined)[Symbol.asyncIterator]();
  await events.next();
  const status = await new Promise<number>((resolve, reject) => {
    const call = request({ socketPath, path: '/v1/verify', agent: false }, (response) => {
      json(response).catch(() => undefined);
      resolve(response.statusCode ?? 0);
    });
    call.on('error', reject).end();
  });
  t.equal(status, 405, 'it is not begun by a GET');
  await events.return?.();
  await until('another one may run', async () => {
    try {
      for await (const event of control.verify(undefined)) if (event.kind === 'report') return event.isClean;
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      t.match(error.message, 'runs already');
    }
    return false;
  });
});
