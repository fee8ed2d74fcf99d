/**
 * The real process is killed in the middle of imports and exports: after that an image is there as a whole or not at
 * all, and to import again gives everything. `KILL_LOOP_KILLS` is how often, `KILL_LOOP_SEED` chooses the same moments.
 */
import { setTimeout as wait } from 'node:timers/promises';
import t, { type Test } from 'tap';
import type { DaemonControl } from '../../src/admin/control-client.ts';
import { fetch } from '../helpers/client.ts';
import { begin, run } from '../helpers/command.ts';
import { blobOf, type Image, imageWith, indexOf, KIB, MIB } from '../helpers/content.ts';
import { all, bytesOf, controlOf, endOf, exportOf, importOf, prewarmOf, sent } from '../helpers/control.ts';
import { makeDirectory, startMirror } from '../helpers/mirror.ts';
import { leftoversIn, readDisk } from '../helpers/on-disk.ts';
import { makeRandom, type Random, seedFrom } from '../helpers/random.ts';
import { contentOf, startRegistry } from '../helpers/registry.ts';

const kills = Number(process.env.KILL_LOOP_KILLS || 9);
const shared = blobOf(2 * MIB, 'carried/shared');
const images: Image[] = ['amd64', 'arm64'].map((name) =>
  imageWith(`carried/${name}`, [
    shared,
    blobOf(MIB + 1, `carried/${name}`),
    blobOf(3 * KIB, `small/${name}`),
  ]),
);
const [amd64, arm64] = images as [Image, Image];
const index = indexOf({ amd64, arm64 });
const single = imageWith('carried/single', [shared, blobOf(700 * KIB, 'carried/single')]);
const NAMES = ['docker.io/team/app:1', 'docker.io/team/single:1'];

async function makeBundle(t: Test): Promise<Buffer> {
  const registry = await startRegistry(t);
  registry.push('team/app', index, '1');
  registry.push('team/single', single, '1');
  const mirror = await startMirror(t, { upstreams: { 'docker.io': { at: registry } } });
  const control = await controlOf(mirror);
  endOf(await all(control.prewarm(prewarmOf(NAMES, { platforms: 'all' }))), 'report');
  return await bytesOf((await control.export(exportOf(NAMES))).bundle);
}

t.test(`killed ${kills} times in the middle of imports and exports`, async (t) => {
  t.setTimeout(60_000 + kills * 8_000);
  const random = makeRandom(seedFrom(process.env.KILL_LOOP_SEED));
  t.comment(`KILL_LOOP_SEED=${random.seed}`);
  const file = await makeBundle(t);
  const directory = await makeDirectory(t);
  const args = ['--data', directory, '--offline', '--max-size', '64MiB'];
  const env = { HUBCAP_MIN_FREE: '0B', NODE_COMPILE_CACHE: await makeDirectory(t) };
  for (let kill = 0; kill < kills; kill++) {
    const { child, ready, exited } = begin(t, args, env);
    await expectWhole(t, directory, (await ready).listen ?? '', `before kill ${kill}`);
    const die = (): void => void child.kill('SIGKILL');
    await (kill % 3 === 2
      ? exportUntil(directory, file, random, die)
      : importUntil(directory, file, random, die));
    die();
    await exited;
  }
  const { child, ready, exited } = begin(t, args, env);
  const { listen = '' } = await ready;
  const control = await controlOf({ directory });
  t.match(endOf(await all(control.import(importOf(), sent(file))), 'report'), { images: 2 });
  t.same(await expectWhole(t, directory, listen, 'at the end'), NAMES);
  t.ok(
    (await bytesOf((await control.export(exportOf(NAMES))).bundle)).equals(file),
    'the same bytes go out again',
  );
  const { code, stdout, stderr } = await run('verify', '--data', directory, '--json');
  t.equal(code, 0, 'nothing is damaged, missing or unknown', { stdout, stderr });
  await empty(control);
  const disk = await readDisk(directory);
  t.same([disk.wrong, leftoversIn(disk), [...disk.blobs.keys()]], [[], [], []], 'nothing is left over');
  child.kill('SIGTERM');
  t.equal(((await exited) as [number])[0], 0);
});

async function importUntil(directory: string, file: Buffer, random: Random, die: () => void): Promise<void> {
  const control = await controlOf({ directory });
  await empty(control);
  // One in two dies when all has been sent: then it is given names.
  const at = random.between(0, 1) === 1 ? file.length : random.between(0, file.length);
  const untilThen = async function* (): AsyncGenerator<Buffer> {
    for (let from = 0; from < file.length; from += 48 * KIB) {
      if (from >= at) die();
      yield file.subarray(from, from + 48 * KIB);
    }
    if (at >= file.length) wait(random.between(0, 60)).then(die);
  };
  await all(control.import(importOf({ isPinning: random.between(0, 1) === 1 }), untilThen())).catch(
    () => undefined,
  );
}

async function exportUntil(directory: string, file: Buffer, random: Random, die: () => void): Promise<void> {
  const control = await controlOf({ directory });
  endOf(await all(control.import(importOf(), sent(file))), 'report');
  const { bundle } = await control.export(exportOf([], { selection: 'all' }));
  let left = random.between(1, 5 * MIB);
  try {
    for await (const chunk of bundle) {
      left -= chunk.length;
      if (left <= 0) die();
    }
  } catch {
    // killed
  }
}

async function empty(control: DaemonControl): Promise<void> {
  for await (const { reference } of control.pins()) await control.unpin([reference]);
  const references: string[] = [];
  for await (const { reference } of control.images()) references.push(reference);
  await control.remove({ references, isDryRun: false });
}

/** Every image that has a name is there as a whole, is served so, and so is all that is pinned. @returns the names */
async function expectWhole(t: Test, directory: string, url: string, when: string): Promise<string[]> {
  const control = await controlOf({ directory });
  const names: string[] = [];
  for await (const { reference, state } of control.images()) {
    t.equal(state, 'complete', `${reference} ${when}`);
    names.push(reference);
  }
  for await (const pin of control.pins()) {
    t.ok(pin.isComplete && names.includes(pin.reference), `the pin of ${pin.reference} ${when}`);
  }
  for (const name of names) {
    const repository = name.slice('docker.io/'.length, name.indexOf(':'));
    const parts = (name === NAMES[0] ? images : [single]).flatMap(contentOf);
    for (const { digest, body } of parts) {
      const kind = images.concat(single).some(({ manifest }) => manifest.digest === digest)
        ? 'manifests'
        : 'blobs';
      const answer = await fetch(`${url}/v2/${repository}/${kind}/${digest}`);
      if (!answer.body.equals(body)) t.fail(`${name} ${when}: ${digest} is answered by ${answer.status}`);
    }
  }
  return names;
}
