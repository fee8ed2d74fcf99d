/** The `daemon.json.example` that users copy is one that a real dockerd takes. */

import { readFile } from 'node:fs/promises';
import t from 'tap';
import { dockerNeeds, startDockerd } from '../helpers/engines/dockerd.ts';
import { needs } from '../helpers/engines/needs.ts';

const example = new URL('../../daemon.json.example', import.meta.url);

t.test('dockerd starts with daemon.json.example and uses hubcap where it listens by default', async (t) => {
  if (!needs(t, ...dockerNeeds)) return;
  const engine = await startDockerd(t, await readFile(example, 'utf8'));
  const mirrors = JSON.parse(await engine.docker('info', '--format', '{{json .RegistryConfig.Mirrors}}'));
  t.strictSame(mirrors, ['http://127.0.0.1:5000/']);
});

t.test('dockerd refuses a file with a mistake in it, so that the test above shows something', async (t) => {
  if (!needs(t, ...dockerNeeds)) return;
  await t.rejects(startDockerd(t, { 'registry-mirrors': ['127.0.0.1:5000'] }), {
    message: /dockerd ended before/,
  });
});
