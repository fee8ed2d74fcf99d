/** The loop across the air gap: what is missed inside is fetched outside, carried as a delta, and pulled inside. */

import { execFile } from 'node:child_process';
import { stat, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { makeStick, startInside, startOutside } from '../helpers/engines/air-gap.ts';
import { type Commands, commandsOf } from '../helpers/engines/commands.ts';
import { dockerNeeds, mirroredBy, startDockerd } from '../helpers/engines/dockerd.ts';
import { type Image, type ImageSpec, platformOf } from '../helpers/engines/image.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makePodman, podmanNeeds } from '../helpers/engines/podman.ts';
import { stackNeeds } from '../helpers/engines/stack.ts';

const base = { seed: 'base', bytes: 8_000_000 };
const architectures = ['amd64', 'arm64'];
const web: ImageSpec = {
  format: 'oci',
  tag: '1.27',
  layers: [base, { seed: 'web', bytes: 900_000 }],
  architectures,
};
const shop = (tag: string): ImageSpec => ({
  format: 'docker',
  tag,
  layers: [base, { seed: 'libraries', bytes: 3_000_000 }, { seed: `shop ${tag}`, bytes: 100_000 }],
  architectures,
});
const compose = `
services:
  web: { image: "web:1.27" }
  shop: { image: "acme/shop:2.0" }
`;

t.test('what Docker and podman were refused inside is carried, and only that', async (t) => {
  if (!needs(t, ...dockerNeeds, ...podmanNeeds, ...stackNeeds, 'tar')) return;
  const stick = await makeStick(t);
  const { stack, hubcap } = await startOutside(t);
  const outside = commandsOf(t, hubcap, stick(''));
  await stack.push('library/web', web);
  const old = await stack.push('acme/shop', shop('2.0'));
  await writeFile(stick('compose.yaml'), compose);
  await outside.run('prewarm', '-f', 'compose.yaml', '--pin');
  await outside.run('export', '--pinned', '-o', 'first.tar');

  const side = await startInside(t);
  const inside = commandsOf(t, side.hubcap, stick(''));
  await inside.run('import', 'first.tar');
  const { docker, try: tryDocker } = await startDockerd(t, mirroredBy(side.hubcap.url));
  const podman = await makePodman(t, side.hubcap.host);
  await docker('pull', '--quiet', 'acme/shop:2.0');
  t.equal(await inside.run('misses', '--list'), '', 'nothing is missed yet');
  t.not((await tryDocker('pull', '--quiet', 'acme/shop:2.1')).code, 0);
  await t.rejects(podman('pull', '--quiet', 'docker.io/acme/shop:2.1'));

  const wanted = await inside.run('misses', '--list');
  t.equal(wanted, 'docker.io/acme/shop:2.1\n', 'both missed the same');
  await writeFile(stick('wanted.txt'), wanted);

  const released = await stack.push('acme/shop', shop('2.1'));
  await outside.run('prewarm', '-f', 'wanted.txt', '--pin');
  await outside.run('export', '--pinned', '--since', 'first.tar', '-o', 'next.tar');
  t.strictSame(await blobsIn(stick('next.tar')), newIn(released, old), 'only what is new');
  const { size } = await stat(stick('next.tar'));
  t.ok(size < 150_000, 'about as large as what is new', { size });
  await isRefusedWithoutBase(t, stick);

  await inside.run('import', 'next.tar');
  t.equal(await inside.run('misses', '--list'), '', 'nothing is missed any more');
  await docker('pull', '--quiet', 'acme/shop:2.1');
  await podman('pull', '--quiet', 'docker.io/acme/shop:2.1');
  const digests = await docker('image', 'inspect', '--format', '{{json .RepoDigests}}', 'acme/shop:2.1');
  t.strictSame(JSON.parse(digests), [`acme/shop@${released.digest}`]);
  await isPinned(t, inside);
});

t.test('a platform that was missed is carried afterwards', async (t) => {
  if (!needs(t, ...podmanNeeds, ...stackNeeds)) return;
  const stick = await makeStick(t);
  const { stack, hubcap } = await startOutside(t);
  const outside = commandsOf(t, hubcap, stick(''));
  const image = await stack.push('library/web', web);
  await outside.run('prewarm', 'web:1.27', '--platform', 'linux/amd64');
  await outside.run('export', 'web:1.27', '-o', 'first.tar');

  const side = await startInside(t);
  const inside = commandsOf(t, side.hubcap, stick(''));
  await inside.run('import', 'first.tar');
  const podman = await makePodman(t, side.hubcap.host);
  const pull = () => podman('pull', '--quiet', '--arch', 'arm64', 'docker.io/library/web:1.27');
  await t.rejects(pull(), 'the other platform is not here');
  const wanted = await inside.run('misses', '--list');
  t.equal(wanted, 'docker.io/library/web:1.27 linux/arm64\n');
  await writeFile(stick('wanted.txt'), wanted);

  await outside.run('prewarm', '-f', 'wanted.txt');
  await outside.run('export', 'web:1.27', '--since', 'first.tar', '-o', 'next.tar');
  const { digest, config, layers } = platformOf(image, 'arm64');
  const shared = platformOf(image, 'amd64').layers.map(({ digest }) => digest);
  const lacked = [digest, config.digest, ...layers.map(({ digest }) => digest)];
  t.strictSame(await blobsIn(stick('next.tar')), lacked.filter((one) => !shared.includes(one)).sort());
  await inside.run('import', 'next.tar');
  await pull();
  t.equal(await inside.run('misses', '--list'), '', 'nothing is missed any more');
});

async function blobsIn(bundle: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('tar', ['--list', '--file', bundle]);
  const blobs = stdout.split('\n').flatMap((path) => /^blobs\/sha256\/([0-9a-f]{64})$/.exec(path)?.[1] ?? []);
  return blobs.map((hex) => `sha256:${hex}`).sort();
}

/** Index, manifest, configuration and layers for amd64 that the older image does not have. */
function newIn(image: Image, older: Image): string[] {
  const all = (of: Image) => {
    const { digest, config, layers } = platformOf(of, 'amd64');
    return [of.digest, digest, config.digest, ...layers.map(({ digest }) => digest)];
  };
  const known = new Set(all(older));
  return all(image)
    .filter((digest) => !known.has(digest))
    .sort();
}

/** Without a daemon too. */
async function isRefusedWithoutBase(t: Test, stick: (name: string) => string): Promise<void> {
  const commands = commandsOf(t, { dataDirectory: stick('empty') });
  const { code, stderr } = await commands.try('import', stick('next.tar'));
  t.equal(code, 1);
  t.match(stderr, /import the bundle that carried them first/);
  t.equal(await commands.run('images', '--json'), '', 'and nothing is here');
}

async function isPinned(t: Test, { run }: Commands): Promise<void> {
  const pinned = await run('images', '--pinned');
  for (const name of ['web:1.27', 'acme/shop:2.0', 'acme/shop:2.1']) t.match(pinned, name);
}
