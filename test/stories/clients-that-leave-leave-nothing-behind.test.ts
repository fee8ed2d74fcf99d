import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { blobOf, MIB } from '../helpers/content.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';

const blob = blobOf(8 * MIB, 'left');
const CLIENTS = 60;

/** Asks, takes the first bytes, and then no more. */
async function begin(url: URL): Promise<Socket> {
  const socket = connect(Number(url.port), url.hostname);
  socket.on('error', () => undefined); // it is about to be reset
  socket.write(`GET /v2/team/app/blobs/${blob.digest} HTTP/1.1\r\nHost: ${url.host}\r\n\r\n`);
  await once(socket, 'data');
  socket.pause();
  return socket;
}

t.test('clients that are reset in the middle of an answer', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  t.equal((await mirror.get(`/v2/team/app/blobs/${blob.digest}`)).status, 200);
  await mirror.settled();
  const filesBefore = await openFiles();

  for (let round = 0; round < 5; round++) {
    const clients = await Promise.all(Array.from({ length: CLIENTS }, () => begin(new URL(mirror.url))));
    // Resumed and reset at once: the answers are caught at every stage of a write.
    for (const client of clients) client.resume();
    await until('answers go on', () => clients.some(({ bytesRead }) => bytesRead > MIB));
    for (const client of clients) client.resetAndDestroy();
    const ended = (): number => mirror.logs.filter((line) => line.includes('"kind":"blob"')).length;
    await until('each has its log line', () => ended() >= CLIENTS);
    mirror.logs.length = 0;
  }
  await until('no file is open for them', async () => (await openFiles()) <= filesBefore);
  await mirror.close(false);
  t.notMatch(mirror.logs.join(''), /does not end/, 'nor is any answer still being given');
});

async function openFiles(): Promise<number> {
  return (await readdir('/proc/self/fd')).length;
}
