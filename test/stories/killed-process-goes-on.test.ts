import t from 'tap';
import { connectControl } from '../../src/admin/control-client.ts';
import { controlPaths } from '../../src/admin/control-path.ts';
import { fetch, open } from '../helpers/client.ts';
import { run, serve } from '../helpers/command.ts';
import { blobOf, MIB } from '../helpers/content.ts';
import { makeDirectory } from '../helpers/mirror.ts';
import { blobDownloads, only, paced, stalling } from '../helpers/personas.ts';
import { makeRandom, seedFrom } from '../helpers/random.ts';
import { startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';

const blob = blobOf(16 * MIB, 'killed');
const path = `/v2/team/app/blobs/${blob.digest}`;

t.test('kill -9 inside a download: the next process goes on where it was', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', blob);
  const directory = await makeDirectory(t);
  const upstream = ['--upstream', registry.url, '--data', directory];
  const never = makeGate();
  t.teardown(never.open);

  for (let round = 1; round <= 4; round++) {
    registry.act(only(blobDownloads, stalling(3 * MIB, never.opened)));
    const { child, ready, exited } = await serve(t, upstream);
    const reader = await open(`${ready.listen}${path}`);
    await until('three more MiB are on disk', async () => (await bytesOnDisk(directory)) >= round * 3 * MIB);
    child.kill('SIGKILL');
    await exited;
    t.notOk((await reader.ended).isComplete);
  }

  registry.act();
  const { ready } = await serve(t, upstream);
  const { body, isComplete } = await fetch(`${ready.listen}${path}`);
  t.ok(isComplete && body.equals(blob.body), 'the right bytes in the end');
  t.ok(registry.bytesSent() <= 1.3 * blob.body.length, `upstream sent ${registry.bytesSent()} bytes in all`);
  const listed = await run('images', '--data', directory, '--json');
  t.equal(listed.code, 0, listed.stderr);
});

t.test('eight kills inside one download: clients come back, upstream hardly notices', async (t) => {
  t.setTimeout(120_000);
  const random = makeRandom(seedFrom(process.env.KILL_LOOP_SEED));
  t.comment(`KILL_LOOP_SEED=${random.seed}`);
  const large = blobOf(64 * MIB, 'killed eight times');
  const registry = await startRegistry(t);
  registry.push('team/app', large);
  registry.act(only(blobDownloads, paced(16 * MIB)));
  const directory = await makeDirectory(t);
  const args = ['--upstream', registry.url, '--data', directory];
  const env = { NODE_COMPILE_CACHE: await makeDirectory(t) };
  // docker goes on where it was; who starts again from zero must not cost upstream anything either.
  let resuming = Buffer.alloc(0);
  for (let kill = 1; kill <= 9; kill++) {
    const { child, ready, exited } = await serve(t, args, env);
    const url = `${ready.listen}/v2/team/app/blobs/${large.digest}`;
    const range = { range: `bytes=${resuming.length}-` };
    const [one, other] = await Promise.all([
      open(url, resuming.length > 0 ? { headers: range } : {}),
      open(url),
    ]);
    t.equal(one.status, resuming.length > 0 ? 206 : 200);
    if (kill < 9) {
      const share = (large.body.length - resuming.length) / (10 - kill);
      await one.receive(Math.ceil((share * random.between(20, 180)) / 100));
      child.kill('SIGKILL');
      await exited;
    }
    const [got, whole] = await Promise.all([one.ended, other.ended]);
    t.equal(got.isComplete && whole.isComplete, kill === 9);
    resuming = Buffer.concat([resuming, got.body]);
    t.ok(whole.body.equals(large.body.subarray(0, whole.body.length)), 'no wrong byte from zero on');
  }
  t.ok(resuming.equals(large.body), 'the parts make up the whole');
  const ratio = registry.bytesSent() / large.body.length;
  t.ok(ratio <= 1.3, `upstream sent ${ratio.toFixed(3)} times the blob`);
  t.comment(`upstream sent ${ratio.toFixed(3)} times the blob`);
});

async function bytesOnDisk(directory: string): Promise<number> {
  const control = await connectControl(controlPaths(directory, undefined));
  const status = await control?.status();
  return Math.max(0, ...(status?.fills.map(({ bytes }) => bytes) ?? []));
}
