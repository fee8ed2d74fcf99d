/** What `docker save` and `ctr images export` write is imported, and pulled under the same names. */

import { readFile, writeFile } from 'node:fs/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { makeStick, startOutside } from '../helpers/engines/air-gap.ts';
import { containerdNeeds, startContainerd } from '../helpers/engines/containerd.ts';
import { mirroredBy, startDockerd } from '../helpers/engines/dockerd.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makePodman } from '../helpers/engines/podman.ts';
import { arrive, pushSamples, type Saved, savedNeeds } from '../helpers/engines/saved-images.ts';

t.test('docker save, plain and compressed', async (t) => {
  if (!needs(t, ...savedNeeds)) return;
  const stick = await makeStick(t);
  const saved = await saveWithDocker(t, stick);
  await t.test('plain', async (t) => {
    const { hubcap, commands } = await arrive(t, [stick('docker.tar')], saved);
    const podman = await makePodman(t, hubcap.host);
    const renamed = 'docker.io/shop/web:9';
    await t.rejects(podman('pull', '--quiet', renamed));
    const told = await commands.run('import', '--json', '--as', `web:1=${renamed}`, stick('docker.tar'));
    const report = told.trim().split('\n').at(-1) ?? '';
    t.match(
      JSON.parse(report),
      { kind: 'report', images: saved.length, newBytes: 0 },
      'nothing but a name is new',
    );
    await podman('pull', '--quiet', renamed);
  });
  const archive = await readFile(stick('docker.tar'));
  await writeFile(stick('docker.tar.gz'), gzipSync(archive));
  await writeFile(stick('docker.tar.zst'), zstdCompressSync(archive));
  for (const name of ['docker.tar.gz', 'docker.tar.zst'])
    await t.test(name, (t) => arrive(t, [stick(name)], saved));
});

async function saveWithDocker(t: Test, stick: (name: string) => string): Promise<Saved[]> {
  const outside = await startOutside(t);
  const saved = await pushSamples(outside);
  const { docker, stop } = await startDockerd(t, mirroredBy(outside.hubcap.url));
  const names = saved.map(({ familiar }) => familiar);
  for (const name of names) await docker('pull', '--quiet', name);
  await docker('save', '--output', stick('docker.tar'), ...names);
  await Promise.all([stop(), outside.stop()]);
  return saved;
}

t.test('ctr images export, whose digests are those of the registry', async (t) => {
  if (!needs(t, ...savedNeeds, ...containerdNeeds)) return;
  const stick = await makeStick(t);
  const outside = await startOutside(t);
  const saved = await pushSamples(outside);
  const { ctr, pullFlags } = await startContainerd(t, outside.hubcap.url);
  const names = saved.map(({ name }) => name);
  for (const name of names) await ctr('images', 'pull', '--snapshotter=native', ...pullFlags, name);
  await ctr('images', 'export', stick('ctr.tar'), ...names);
  await outside.stop();
  const { hubcap } = await arrive(t, [stick('ctr.tar')], saved);
  const podman = await makePodman(t, hubcap.host);
  for (const { name, image } of saved)
    await podman('pull', '--quiet', `${name.replace(/:1$/, '')}@${image.digest}`);
});
