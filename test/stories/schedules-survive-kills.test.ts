import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Status } from '../../src/admin/status.ts';
import { run as command, serve } from '../helpers/command.ts';
import { imageOf, MIB } from '../helpers/content.ts';
import { controlOf } from '../helpers/control.ts';
import { writeList } from '../helpers/image-lists.ts';
import { makeDirectory } from '../helpers/mirror.ts';
import { blobDownloads, only, stalling } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const HOST = 'registry.test';
const one = imageOf('killed one', [6 * MIB]);
const two = imageOf('killed two', [2 * MIB]);

t.test('kill -9 in a run: the next process goes on; what was pinned is pinned', async (t) => {
  t.setTimeout(60_000);
  const registry = await startRegistry(t);
  registry.push('team/one', one, 'v1');
  registry.push('team/two', two, 'v1');
  const directory = await makeDirectory(t);
  const home = await makeDirectory(t);
  const list = writeList(home, 'images.txt', `${HOST}/team/two:v1`, `${HOST}/team/one:v1`);
  const file = join(home, 'hubcap.yaml');
  writeFileSync(
    file,
    `upstreams: { ${HOST}: { url: "${registry.url}" } }
prewarm: [{ list: images.txt, every: 1m, platforms: linux/amd64, pin: true }]
`,
  );
  const args = ['--config', file, '--data', directory];
  const status = async (): Promise<Status> => await (await controlOf({ directory })).status();
  const gate = makeGate();
  t.teardown(gate.open);

  registry.act(
    only(({ path }) => path.endsWith(String(one.layers[0]?.digest)), stalling(3 * MIB, gate.opened)),
  );
  const killed = await serve(t, args);
  await until(
    'one image is pinned, and the other on its way',
    async () => {
      const { store, fills } = await status();
      return store.pins === 1 && (fills[0]?.bytes ?? 0) >= 3 * MIB;
    },
    50,
  );
  killed.child.kill('SIGKILL');
  await killed.exited;

  registry.act(only(blobDownloads, (_, answer) => answer()));
  const sent = registry.bytesSent();
  const next = await serve(t, args);
  await until('a run is done', async () => (await status()).prewarm[0]?.last?.result === 'done', 50);
  t.match(await status(), {
    store: { pins: 2 },
    prewarm: [{ list: list.path, last: { images: { done: 2 } } }],
  });
  t.ok(registry.bytesSent() - sent < 4 * MIB, 'it went on where it was');
  const shown = (await command('status', '--config', file, '--data', directory)).stdout;
  t.match(shown, /pinned {4}2 references, 8MiB/);
  t.match(shown, new RegExp(`prewarm {3}${list.path} every 1m, next at .*\n {10}last at .*: 2 of 2 images`));
  next.child.kill('SIGKILL');
  await next.exited;

  list.write('');
  const last = await serve(t, args);
  await until('a run has failed', async () => (await status()).prewarm[0]?.last?.result === 'failed', 50);
  t.match(await status(), { store: { pins: 2 } });
  t.match(
    (await command('status', '--config', file, '--data', directory)).stdout,
    /FAILED: .*names no images/,
  );
  last.child.kill('SIGKILL');
  await last.exited;
});
