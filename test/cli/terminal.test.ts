/** What a command shows on a terminal: bars where it has a size, else lines. */
import { execFile, execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';
import { APP, makeSide, OTHER, pushImages, type Side } from '../helpers/air-gap.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const BAR = '\u2588'.repeat(20);

t.test('prewarm and export', { skip: !hasScript() && 'needs script (util-linux)' }, async (t) => {
  const side = await makeSide(t);
  pushImages(side.registry);
  const sized = await onTerminal(side, 80, 24, 'prewarm', APP, OTHER);
  t.match(sized, `${APP} (linux/amd64): `);
  t.match(sized, BAR);
  t.match(sized, '2 of 2 images, ');
  const sizeless = await onTerminal(side, 0, 0, 'prewarm', APP, OTHER);
  t.match(
    sizeless,
    new RegExp(`^${APP.replace(/\W/g, '\\$&')} \\(linux/amd64\\): nothing to fetch.*\r$`, 'm'),
  );
  t.notMatch(sizeless, '\x1b');
  const refused = onTerminal(side, 80, 24, 'export', APP, '-o', '-');
  await t.rejects(refused, { code: 1, stdout: /nothing for a terminal/ });
});

/** @returns all that stands on a terminal of this size in the end. @throws what `execFile` throws where it fails */
async function onTerminal(
  { flags }: Side,
  columns: number,
  rows: number,
  ...args: string[]
): Promise<string> {
  const words = [process.execPath, MAIN, ...args, '--platform', 'linux/amd64', ...flags];
  const command = `stty cols ${columns} rows ${rows}; exec ${words.map((word) => `'${word}'`).join(' ')}`;
  const env = { PATH: process.env.PATH, HOME: '/nonexistent', SHELL: '/bin/sh', TERM: 'xterm' };
  const { stdout } = await promisify(execFile)('script', ['-qec', command, '/dev/null'], { env });
  return stdout;
}

function hasScript(): boolean {
  try {
    execFileSync('script', ['--version']);
    return true;
  } catch {
    return false; // not installed, or one of another kind
  }
}
