/** What leaves is what the digests say, or it ends with an error. */

import { once } from 'node:events';
import { open, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { controlPaths } from '../../src/admin/control-path.ts';
import { imageOf, indexOf, KIB, MIB } from '../helpers/content.ts';
import { all, bytesOf, controlOf, endOf, exportOf, prewarmOf } from '../helpers/control.ts';
import { type MirrorSettings, startMirror } from '../helpers/mirror.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';

async function start(t: Test, push: (registry: Registry) => void, settings: Partial<MirrorSettings> = {}) {
  const registry = await startRegistry(t);
  push(registry);
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } }, ...settings });
  const control = await controlOf(mirror);
  const fetchAll = async (references: string[]): Promise<void> => {
    const report = endOf(await all(control.prewarm(prewarmOf(references, { platforms: 'all' }))), 'report');
    t.same(report.failures, []);
  };
  return { registry, mirror, control, fetchAll };
}

t.test('a reader that is slow gets the same bytes', async (t) => {
  const image = imageOf('slow', [3 * MIB, 3 * MIB]);
  const { mirror, control, fetchAll } = await start(t, (registry) => {
    registry.push('team/app', image, '1');
  });
  await fetchAll(['team/app:1']);
  const whole = await bytesOf((await control.export(exportOf(['team/app:1']))).bundle);
  const [socketPath = ''] = controlPaths(mirror.directory, undefined);
  const call = request({ socketPath, path: '/v1/export', method: 'POST', agent: false });
  call.end(JSON.stringify(exportOf(['team/app:1'])));
  const [response] = await once(call, 'response');
  const chunks: Buffer[] = [];
  const turns = async (count: number): Promise<void> => {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  await turns(500); // the way is full: what goes next waits in the daemon
  for await (const chunk of response) {
    chunks.push(Buffer.from(chunk));
    await turns(chunks.length % 8 === 0 ? 200 : 1);
  }
  const received = Buffer.concat(chunks);
  t.ok(received.subarray(received.indexOf(10) + 1).equals(whole));
  for (const { body } of image.layers) t.ok(received.includes(body), 'what was pushed');
});

t.test('what is damaged on disk ends the answer, and is never given out as whole', async (t) => {
  const image = imageOf('damaged', [2 * MIB]);
  const { mirror, control, fetchAll } = await start(t, (registry) => registry.push('team/app', image, '1'));
  await fetchAll(['team/app:1']);
  const [layer] = image.layers;
  const hex = layer?.digest.slice('sha256:'.length) ?? '';
  const path = join(mirror.directory, 'v1', 'blobs', 'sha256', hex.slice(0, 2), hex);
  const file = await open(path, 'r+');
  await file.write(Buffer.from('!'), 0, 1, MIB);
  await file.close();
  const { plan, bundle } = await control.export(exportOf(['team/app:1']));
  let bytes = 0;
  await t.rejects(async () => {
    for await (const chunk of bundle) bytes += chunk.length;
  });
  t.ok(bytes < plan.bytes);
});

t.test('what goes while it is read ends the answer', async (t) => {
  const image = imageOf('gone', [2 * MIB]);
  const { mirror, control, fetchAll } = await start(t, (registry) => registry.push('team/app', image, '1'));
  await fetchAll(['team/app:1']);
  const hex = image.layers[0]?.digest.slice('sha256:'.length) ?? '';
  const path = join(mirror.directory, 'v1', 'blobs', 'sha256', hex.slice(0, 2), hex);
  await rm(path);
  const { bundle } = await control.export(exportOf(['team/app:1']));
  await t.rejects(bytesOf(bundle));
  await t.rejects(control.export(exportOf(['team/app:1'])), /not here as a whole/);
});

t.test('what is read is not evicted, and may be once the reader has left', async (t) => {
  const { mirror, control, fetchAll } = await start(
    t,
    (registry) => {
      registry.push('team/app', imageOf('held', [3 * MIB]), '1');
      registry.push('team/other', imageOf('pushes', [3 * MIB]), '1');
    },
    { maxBytes: 5 * MIB },
  );
  await fetchAll(['team/app:1']);
  const { bundle } = await control.export(exportOf(['team/app:1']));
  const reader = bundle[Symbol.asyncIterator]();
  await reader.next();
  const refused = endOf(await all(control.prewarm(prewarmOf(['team/other:1']))), 'report');
  t.match(refused.failures, [{ message: /storage\.maxSize/ }]);
  await reader.return?.(undefined);
  const isLetGo = async (): Promise<boolean> => {
    const report = endOf(await all(control.prewarm(prewarmOf(['team/other:1']))), 'report');
    return report.failures.length === 0;
  };
  await until('the first may go', isLetGo);
  const errors = mirror.logs.filter((line) => line.includes('"level":50'));
  t.same(errors, [], 'who leaves is no fault of ours');
});

t.test('the platforms that are asked for, or all that are whole; what is not whole is said', async (t) => {
  const index = indexOf({ amd64: imageOf('some/amd64', [KIB]), arm64: imageOf('some/arm64', [KIB]) });
  const { mirror, control } = await start(t, (registry) => {
    registry.push('team/app', index, '1');
    registry.push('team/partial', imageOf('partial', [KIB]), '1');
  });
  await all(control.prewarm(prewarmOf(['team/app:1'])));
  await mirror.manifest('/v2/team/partial/manifests/1');
  const platformsOf = async (platforms: 'all' | string[] | undefined): Promise<string[][]> => {
    const { plan, bundle } = await control.export(exportOf(['team/app:1'], { platforms }));
    await bytesOf(bundle);
    return plan.images.map((image) => image.platforms);
  };
  t.same(await platformsOf(undefined), [['linux/amd64']]);
  t.same(await platformsOf(['linux/amd64']), [['linux/amd64']]);
  await t.rejects(platformsOf('all'), /not here as a whole: `hubcap prewarm --platform all/);
  await t.rejects(platformsOf(['linux/arm64']), /not here as a whole/);
  await t.rejects(platformsOf(['linux/s390x']), /has no linux\/s390x/);
  const { plan, bundle } = await control.export(exportOf([], { selection: 'all' }));
  await bytesOf(bundle);
  t.same(
    plan.leftOut.map(({ reference }) => reference),
    ['docker.io/team/partial:1'],
  );
  await t.rejects(control.export(exportOf([], { selection: 'pinned' })), /nothing to export/);
});
