/** Owns how a cell about manifests runs: by tag or by digest, they are fetched whole and proven before a byte is shown. */
import type { Test } from 'tap';
import { imageOf } from '../../helpers/content.ts';
import { striking } from '../../helpers/faults.ts';
import type { Asked } from '../../helpers/persona-server.ts';
import { manifests, only } from '../../helpers/personas.ts';
import { type CellRun, checkOutcome, describeClient } from './cells.ts';
import { settledDisk, startTopology } from './topology.ts';

const image = imageOf('fault matrix', [1000]);
export const manifest = image.manifest;

/** @param reference `latest`, or the manifest's digest */
export async function runManifestCell(t: Test, reference: string, cell: CellRun): Promise<void> {
  const { fault, place, isOnce, outcome } = cell;
  const { registry, mirror, act, never } = await startTopology(t, cell);
  registry.push('team/app', image, 'latest');
  act(only(manifests, striking({ fault, place, isOnce, shown: Promise.resolve(), never })));
  const path = `/v2/team/app/manifests/${reference}`;
  const received = await mirror.manifest(path);
  const disk = await settledDisk(t, mirror, manifest);
  const sent = fetchesOf(registry);
  const bytes = sent.reduce((sum, one) => sum + one.bytes, 0);
  const client = describeClient(received, manifest.body);
  checkOutcome(t, { client, requests: sent.length, bytes, disk }, outcome);
  if (client === 'whole') t.equal(received.headers['docker-content-digest'], manifest.digest);

  act();
  const again = await mirror.manifest(path);
  t.equal(describeClient(again, manifest.body), 'whole', 'the next pull, of a registry that is well');
  t.equal(await settledDisk(t, mirror, manifest), 'stored');
  t.equal(
    fetchesOf(registry).length - sent.length,
    disk === 'stored' ? 0 : 1,
    'fetched where it was not here',
  );
}

/** Requests that count against a pull limit, without those that were answered with a challenge. */
function fetchesOf({ asked }: { asked: readonly Asked[] }): Asked[] {
  return asked.filter((one) => one.method === 'GET' && manifests(one) && one.status !== 401);
}
