/** The thread of a crowd: each client asks, compares every byte that comes, pauses, and asks again. */
import { createHash } from 'node:crypto';
import { Agent, type IncomingMessage, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { blobOf } from '../../test/helpers/content.ts';
import { makeRandom } from '../../test/helpers/random.ts';
import { type Behaviour, behaviours, type CrowdOptions, emptyTally } from './crowd.ts';
import { accept } from './manifest.ts';

const options = workerData as CrowdOptions;
const { url, repository, tags, manifests, pauseMs, clients, seed } = options;
const random = makeRandom(seed);
const tally = emptyTally();
const over = new AbortController();
const agent = new Agent({ keepAlive: true });

const CRAWL_BYTES_PER_SECOND = 32 * 1024;
const MOST_PATIENCE_MS = 30_000;
/** One in so many requests for a blob is for the one that no budget holds. */
const OVERSIZE_ONE_IN = 150;
const REFUSALS = [429, 502, 503, 504];

const contents = options.blobs.map(({ digest, bytes, seed }) => ({ digest, body: blobOf(bytes, seed).body }));
const { digest, bytes, seed: oversizeSeed } = options.oversize;
const oversize = { digest, body: blobOf(bytes, oversizeSeed).body };

parentPort?.postMessage('ready');
const all = Promise.all(assign().map((behaviour, i) => live(behaviour, i)));
parentPort?.once('message', async () => {
  over.abort();
  await all;
  agent.destroy();
  parentPort?.postMessage(tally);
});

function assign(): Behaviour[] {
  const hundred = Object.entries(behaviours).flatMap(
    ([name, share]) => Array(share).fill(name) as Behaviour[],
  );
  return Array.from({ length: clients }, (_, i) => hundred[i % hundred.length] ?? 'whole');
}

async function live(behaviour: Behaviour, client: number): Promise<void> {
  await pause((pauseMs * client) / clients); // nobody comes in step
  while (!over.signal.aborted) {
    await (behaviour === 'manifest' ? askManifest() : askBlob(behaviour));
    await pause(random.between(0, 2 * pauseMs));
  }
}

async function pause(ms: number): Promise<void> {
  await delay(ms, undefined, { signal: over.signal }).catch(() => undefined);
}

async function askManifest(): Promise<void> {
  const isByTag = random.between(1, 2) === 1;
  const from = isByTag ? tags : manifests;
  const reference = from[random.between(0, from.length - 1)] ?? '';
  const response = await ask(`/v2/${repository}/manifests/${reference}`, { accept }, agent);
  if (!response) return;
  const hash = createHash('sha256');
  response.on('data', (chunk: Buffer) => hash.update(chunk));
  if (!(await ended(response))) return;
  const found = `sha256:${hash.digest('hex')}`;
  // A tag is compared with what is said of it, which must be one of the images.
  const wanted = isByTag ? response.headers['docker-content-digest'] : reference;
  count(found === wanted && manifests.includes(found));
}

async function askBlob(behaviour: Behaviour): Promise<void> {
  const isOversize = random.between(1, OVERSIZE_ONE_IN) === 1;
  const blob = isOversize ? oversize : contents[random.between(0, contents.length - 1)];
  if (!blob) throw new Error('no blobs');
  const size = blob.body.length;
  const start = behaviour === 'range' ? random.between(0, size - 1) : 0;
  const end = behaviour === 'range' ? Math.min(size, start + random.between(1, 512 * 1024)) : size;
  const headers = behaviour === 'range' ? { range: `bytes=${start}-${end - 1}` } : {};
  const response = await ask(`/v2/${repository}/blobs/${blob.digest}`, headers, false);
  if (!response) return;
  const leaveAfter = behaviour === 'leaver' ? random.between(0, size >> 1) : Number.POSITIVE_INFINITY;
  let position = start;
  let isRight = true;
  response.on('data', (chunk: Buffer) => {
    // Whoever ignores the range answers 200 from zero on: compared as what it is.
    isRight &&= chunk.equals(blob.body.subarray(position, position + chunk.length));
    position += chunk.length;
    tally.bytes += chunk.length;
    if (position > leaveAfter) leave(response);
    if (behaviour === 'crawler') hold(response, (1000 * chunk.length) / CRAWL_BYTES_PER_SECOND);
    if (behaviour === 'staller') hold(response, MOST_PATIENCE_MS);
  });
  const isSlow = behaviour === 'crawler' || behaviour === 'staller';
  const patience = isSlow ? random.between(MOST_PATIENCE_MS / 3, MOST_PATIENCE_MS) : undefined;
  const timer = patience === undefined ? undefined : setTimeout(() => leave(response), patience);
  const isComplete = await ended(response);
  clearTimeout(timer);
  if (isComplete) count(isRight && position === end);
  else if (!isRight) tally.wrong += 1;
}

function count(isRight: boolean): void {
  if (isRight) tally.right += 1;
  else tally.wrong += 1;
}

const leavers = new WeakSet<IncomingMessage>();

function leave(response: IncomingMessage): void {
  leavers.add(response);
  response.destroy();
}

function hold(response: IncomingMessage, ms: number): void {
  response.pause();
  setTimeout(() => response.resume(), ms).unref();
}

/** @returns an answer with content; others are counted and thrown away */
function ask(
  path: string,
  headers: Record<string, string>,
  through: Agent | false,
): Promise<IncomingMessage | undefined> {
  return new Promise((resolve) => {
    const call = request(url + path, { headers, agent: through, signal: over.signal });
    call.on('error', () => {
      if (!over.signal.aborted) tally.brokenOff += 1;
      resolve(undefined);
    });
    call.on('response', (response) => {
      const { statusCode = 0 } = response;
      response.on('error', () => undefined); // told by `complete`
      if (statusCode === 200 || statusCode === 206) return resolve(response);
      if (REFUSALS.includes(statusCode)) tally.refused += 1;
      else tally.unexpected += 1;
      response.resume();
      response.on('close', () => resolve(undefined));
    });
    call.end();
  });
}

/** @returns whether all of it came */
async function ended(response: IncomingMessage): Promise<boolean> {
  await new Promise((resolve) => response.once('close', resolve));
  // Who leaves may have it all in a buffer that nobody has looked at.
  const hasLeft = leavers.has(response) || over.signal.aborted;
  if (response.complete && !hasLeft) return true;
  if (hasLeft) tally.left += 1;
  else tally.brokenOff += 1;
  return false;
}
