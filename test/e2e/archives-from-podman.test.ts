/** What `podman save` and skopeo write is imported, and pulled under the same names. */

import t from 'tap';
import { makeStick, startOutside } from '../helpers/engines/air-gap.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makePodman } from '../helpers/engines/podman.ts';
import { arrive, pushSamples, savedNeeds } from '../helpers/engines/saved-images.ts';
import { makeSkopeo, skopeoNeeds } from '../helpers/engines/skopeo.ts';

t.test('podman save, of both kinds', async (t) => {
  if (!needs(t, ...savedNeeds)) return;
  const stick = await makeStick(t);
  const outside = await startOutside(t);
  const saved = await pushSamples(outside);
  const podman = await makePodman(t, outside.hubcap.host);
  for (const [at, { name }] of saved.entries()) {
    await podman('pull', '--quiet', name);
    await podman('save', '--quiet', '--output', stick(`docker-${at}.tar`), name);
    await podman('save', '--quiet', '--format=oci-archive', '--output', stick(`oci-${at}.tar`), name);
  }
  const names = saved.map(({ name }) => name);
  await podman('save', '--quiet', '--multi-image-archive', '--output', stick('all.tar'), ...names);
  await outside.stop();
  for (const kind of ['docker', 'oci']) {
    const files = saved.map((_, at) => stick(`${kind}-${at}.tar`));
    await t.test(`${kind}-archive`, (t) => arrive(t, files, saved));
  }
  await t.test('several images in one', (t) => arrive(t, [stick('all.tar')], saved));
});

t.test('skopeo copy to archives and to a directory', async (t) => {
  if (!needs(t, ...savedNeeds, ...skopeoNeeds)) return;
  const stick = await makeStick(t);
  const outside = await startOutside(t);
  const saved = await pushSamples(outside);
  const skopeo = await makeSkopeo(t);
  for (const [at, { name }] of saved.entries()) {
    const from = `docker://${outside.hubcap.host}/${name.replace('docker.io/', '')}`;
    for (const to of [
      `docker-archive:${stick(`docker-archive-${at}`)}:${name}`,
      `oci-archive:${stick(`oci-archive-${at}`)}:${name}`,
      `oci:${stick(`oci-${at}`)}:${name}`,
    ])
      await skopeo('copy', '--src-tls-verify=false', from, to);
  }
  await outside.stop();
  for (const kind of ['docker-archive', 'oci-archive', 'oci']) {
    const paths = saved.map((_, at) => stick(`${kind}-${at}`));
    await t.test(kind, (t) => arrive(t, paths, saved));
  }
});
