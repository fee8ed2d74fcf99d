import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { checkBooks } from '../helpers/books.ts';
import { blobOf, KIB, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { blobDownloads, only, stalling, times } from '../helpers/personas.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate } from '../helpers/waiting.ts';

const stored = blobOf(2 * MIB, 'stored before');
const filling = blobOf(3 * MIB, 'filling');
const pathOf = ({ digest }: { digest: string }): string => `/v2/team/app/blobs/${digest}`;

for (const [what, ...parts] of [
  ['v1', 'v1'],
  ['v1/fills', 'v1', 'fills'],
  ['v1/blobs', 'v1', 'blobs'],
  ['all of the data directory'],
] as [string, ...string[]][]) {
  t.test(`${what} is removed in the middle of a fill: pulls go on, and caching comes back`, async (t) => {
    const registry = await startRegistry(t);
    for (const content of [stored, filling]) registry.push('team/app', content);
    const gate = makeGate();
    t.teardown(gate.open);
    const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
    await mirror.get(pathOf(stored));
    await mirror.settled();
    registry.act(only(blobDownloads, times(1, stalling(MIB, gate.opened))));
    const readers = await Promise.all([1, 2].map(() => mirror.open(pathOf(filling))));
    for (const reader of readers) await reader.receive(512 * KIB);

    await rm(join(mirror.directory, ...parts), { recursive: true });
    gate.open();
    for (const reader of readers) {
      const { isComplete, body } = await reader.ended;
      t.ok(isComplete && body.equals(filling.body), 'who was in the middle gets the rest');
    }
    for (const content of [filling, stored]) {
      const { status, isComplete, body } = await mirror.get(pathOf(content));
      t.ok(status === 200 && isComplete && body.equals(content.body), 'who comes next gets it');
    }
    // Whoever asks whether it is ready has the disk tried, and what can be made again is. What else was lost with
    // the catalog's directory is another story.
    const status = await mirror.ready();
    if (parts.length > 1) t.equal(status, 200, 'the disk is found to work again');
    for (const content of [filling, stored]) {
      await mirror.get(pathOf(content));
      await mirror.settled();
      const { headers, body } = await mirror.get(pathOf(content));
      t.equal(headers['cache-status'], 'hubcap; hit', 'caching has come back by itself');
      t.ok(body.equals(content.body));
    }
    await checkBooks(t, mirror);
  });
}
