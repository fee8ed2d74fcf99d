import t from 'tap';
import { connectControl } from '../../src/admin/control-client.ts';
import { controlPaths } from '../../src/admin/control-path.ts';
import { fetch, open } from '../helpers/client.ts';
import { run, serve } from '../helpers/command.ts';
import { blobOf, MIB } from '../helpers/content.ts';
import { makeDirectory } from '../helpers/mirror.ts';
import { blobDownloads, only, stalling } from '../helpers/personas.ts';
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

async function bytesOnDisk(directory: string): Promise<number> {
  const control = await connectControl(controlPaths(directory, undefined));
  const status = await control?.status();
  return Math.max(0, ...(status?.fills.map(({ bytes }) => bytes) ?? []));
}
