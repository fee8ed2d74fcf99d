/** The thread of a `Line`: forwards connections, and shares out the rate among them in turn. */
import { connect, createServer, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import type { LineOptions } from './line.ts';

const { port, bytesPerSecond, sent } = workerData as LineOptions;
const count = new BigInt64Array(sent);

/** What node reads from a socket at once, at most. */
const CHUNK_BYTES = 64 * 1024;
const TICK_MS = 2;

/** Connections whose upstream waits for its turn, the longest waiting first. */
const waiting = new Set<Socket>();
let budget = 0;
let refilledAt = performance.now();

/** A turn is one chunk, paid for in advance; what it did not use is given back. */
function giveTurns(): void {
  for (const upstream of waiting) {
    if (budget <= 0) return;
    budget -= CHUNK_BYTES;
    waiting.delete(upstream);
    upstream.resume();
  }
}

setInterval(() => {
  const now = performance.now();
  budget = Math.min(budget + (bytesPerSecond * (now - refilledAt)) / 1000, bytesPerSecond / 50);
  refilledAt = now;
  giveTurns();
}, TICK_MS);

const server = createServer({ noDelay: true }, (client) => {
  const upstream = connect({ port, host: '127.0.0.1', noDelay: true });
  const leave = (): void => {
    waiting.delete(upstream);
    client.destroy();
    upstream.destroy();
  };
  client.pipe(upstream, { end: false });
  client.on('error', leave).on('close', leave);
  upstream.on('error', leave).on('end', () => client.end());
  upstream.pause();
  const queue = (): void => {
    waiting.add(upstream);
    giveTurns();
  };
  client.on('drain', queue);
  upstream.on('data', (chunk) => {
    upstream.pause();
    budget += CHUNK_BYTES - chunk.length;
    Atomics.add(count, 0, BigInt(chunk.length));
    if (client.write(chunk)) queue();
  });
  queue();
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') parentPort?.postMessage(address.port);
});
