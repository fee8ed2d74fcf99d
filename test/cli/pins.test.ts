import t from 'tap';
import { APP, index, OTHER, other, outside } from '../helpers/air-gap.ts';
import { run } from '../helpers/command.ts';

t.test('pin, unpin and remove', async (t) => {
  const { flags, registry } = await outside(t);
  t.match(await run('remove', OTHER, ...flags), { code: 1, stderr: 'is pinned' });
  t.match(await run('unpin', OTHER, 'registry.test/team/nothing', ...flags), {
    code: 1,
    stderr: 'is not pinned',
  });
  t.match(await run('unpin', OTHER, ...flags), { code: 0, stdout: `${OTHER} is not pinned any more` });
  const again = await run('pin', OTHER, '--json', ...flags);
  t.match(JSON.parse(again.stdout), {
    pinned: [{ reference: OTHER, digest: other.manifest.digest, origin: '' }],
  });
  t.match(await run('pin', 'registry.test/team/nothing', ...flags), {
    code: 1,
    stderr: 'is not in the store',
  });
  t.match(await run('pin', APP, '--platform', 's390x', ...flags), { code: 1, stderr: 'linux/s390x' });
  t.match(await run('pin', 'Not A Name', ...flags), { code: 2, stderr: 'is no image name' });
  t.match(await run('unpin', APP, ...flags), { code: 0 });
  registry.push('team/copy', index, 'v1');
  t.match(await run('prewarm', 'registry.test/team/copy:v1', ...flags), { code: 0 });
  const dry = await run('remove', APP, '--dry-run', ...flags);
  t.match(dry, { code: 0, stdout: /WOULD FREE[\s\S]*would be freed; nothing was removed/ });
  t.match((await run('images', ...flags)).stdout, 'team/app:v1');
  t.match(await run('remove', APP, ...flags), { code: 0, stdout: /team\/app:v1 .*KiB\n[\s\S]* freed\n$/ });
  t.notMatch((await run('images', ...flags)).stdout, 'team/app:v1');
  t.match((await run('images', ...flags)).stdout, 'team/copy:v1');
});
