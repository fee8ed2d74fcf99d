/** Owns how a cell about blobs runs: one client, one fault at who sends the bytes, then an upstream that is well. */
import type { Test } from 'tap';
import type { Content } from '../../helpers/content.ts';
import { type Fault, isBodyFault, offsetOf, type Place, striking } from '../../helpers/faults.ts';
import type { Asked } from '../../helpers/persona-server.ts';
import { blobDownloads, only } from '../../helpers/personas.ts';
import { makeGate } from '../../helpers/waiting.ts';
import { type CellRun, checkOutcome, type Disk, describeClient } from './cells.ts';
import {
  type Before,
  getBeside,
  HELD_BACK_BYTES,
  settledDisk,
  startTopology,
  type Topology,
  type TopologySettings,
} from './topology.ts';

/** The fault is the CDN's where there is one, and the registry's where not. */
export async function runBlobCell(
  t: Test,
  settings: TopologySettings,
  content: Content,
  cell: CellRun,
): Promise<void> {
  const { fault, place, isOnce, outcome } = cell;
  const topology = await startTopology(t, cell, settings);
  const { registry, cdn, mirror, act, never } = topology;
  registry.push('team/app', content);
  const shown = makeGate();
  const strike = striking({ fault, place, isOnce, shown: shown.opened, never });
  act(cdn ? strike : only(blobDownloads, strike));
  const path = `/v2/team/app/blobs/${content.digest}`;
  const isPassing = content.body.length > (settings.maxBytes ?? Number.POSITIVE_INFINITY);
  const ready = before(fault, place, content.body.length);
  const received = await getBeside(mirror, path, shown, isPassing ? { ...ready, arrived: 0 } : ready);
  const disk = await settledDisk(t, mirror, content);
  const sent = sendingOf(topology);
  checkOutcome(
    t,
    { client: describeClient(received, content.body), requests: sent.length, bytes: bytesOf(sent), disk },
    outcome,
  );
  if (typeof outcome[0] === 'number')
    t.ok(Number(received.headers['retry-after']) > 0, 'says when to ask again');

  act();
  const again = await mirror.get(path);
  t.equal(describeClient(again, content.body), 'whole', 'the next pull, of an upstream that is well');
  t.equal(await settledDisk(t, mirror, content), isPassing ? 'nothing' : 'stored');
  const more = bytesOf(sendingOf(topology)) - bytesOf(sent);
  t.equal(more, content.body.length - keptOf(disk, content), 'and only what was not here was fetched');
}

function before(fault: Fault, place: Place, size: number): Before {
  const at = offsetOf(place, size);
  const isCut = !isBodyFault(fault) || fault === 'reset' || fault === 'short';
  return { arrived: isCut ? at : 0, shown: shownBefore(fault, at, size) };
}

/** No head can come for small content, nor while upstream has not answered. */
function shownBefore(fault: Fault, at: number, size: number): number | undefined {
  const released = (end: number): number => Math.min(at, end - HELD_BACK_BYTES);
  if (size <= HELD_BACK_BYTES) return undefined;
  if (fault === 'corrupt') return size - HELD_BACK_BYTES;
  if (fault === 'wrong length') return at === 0 ? undefined : released(at);
  return isBodyFault(fault) || at > 0 ? released(size) : undefined;
}

/** The requests for bytes that were let in; before them each cell has one that is answered with a challenge. */
function sendingOf({ registry, cdn }: Topology): Asked[] {
  return (cdn ?? registry).asked.filter((asked) => asked.method === 'GET' && asked.status !== 401);
}

function bytesOf(asked: readonly Asked[]): number {
  return asked.reduce((sum, { bytes }) => sum + bytes, 0);
}

function keptOf(disk: Disk, { body }: Content): number {
  if (disk === 'stored') return body.length;
  return disk === 'nothing' ? 0 : disk.partial;
}
