import t from 'tap';
import { fetch } from '../helpers/client.ts';
import { imageOf } from '../helpers/content.ts';
import { failDisk } from '../helpers/disk-faults.ts';
import { startMirror } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';

t.test('a page is told why hubcap is not ready, in an answer that is no error', async (t) => {
  const registry = await startRegistry(t);
  registry.push('team/app', imageOf('app', [1000]), 'v1');
  const mirror = await startMirror(t, { upstreams: { 'registry.test': { at: registry } } });
  const ask = async () => {
    const { status, body } = await fetch(`${mirror.admin}/api/ready`);
    return { status, ...(JSON.parse(body.toString()) as { reasons: string[] }) };
  };
  t.same(await ask(), { status: 200, reasons: [] });
  const fault = failDisk(t, mirror.directory, 'EROFS', { matches: ({ isWriting }) => isWriting });
  await mirror.manifest('/v2/team/app/manifests/v1');
  t.match(await ask(), { status: 200, reasons: [/EROFS/] });
  t.equal(await mirror.ready(), 503, 'as it is for who asks for the state alone');
  fault.lift();
  t.same(await ask(), { status: 200, reasons: [] });
});
