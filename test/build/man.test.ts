import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { needs } from '../helpers/engines/needs.ts';

const root = join(import.meta.dirname, '../..');

function build(): string {
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'build/man.ts')], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return readFileSync(join(root, 'dist/hubcap.1'), 'utf8');
}

t.test('the man page has every command, with its options and examples', async (t) => {
  const page = build();
  const commands = [...page.matchAll(/^\.SS hubcap (\w+)$/gm)].map(([, name]) => name);
  for (const command of ['serve', 'status', 'prewarm', 'import', 'misses'])
    t.ok(commands.includes(command), command);
  t.match(page, /\\-\\-max\\-size/);
  t.match(page, /^\.SH EXIT STATUS$/m);
  for (const line of page.split('\n'))
    if (/^[.']/.test(line))
      t.match(line, /^\.(TH|SH|SS|TP|B|I|nf|fi)\b/, 'nothing of a help text is a request');
});

t.test('groff finds nothing wrong with it', async (t) => {
  if (!needs(t, 'groff')) return;
  build();
  const { status, stdout, stderr } = spawnSync(
    'groff',
    ['-man', '-ww', '-Tutf8', '-Kutf8', join(root, 'dist/hubcap.1')],
    { encoding: 'utf8' },
  );
  t.equal(status, 0);
  t.equal(stderr, '');
  t.match(stdout, /a pull-through caching mirror/);
});
