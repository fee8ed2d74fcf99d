/**
 * Owns what npm does after an install: it builds, where the compilers were installed too. Plain JavaScript: it runs on
 * whatever Node installs, also on one that knows no TypeScript.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

if (existsSync(join(root, 'node_modules/typescript')) && existsSync(join(root, 'node_modules/esbuild'))) {
  const { status } = spawnSync('npm', ['run', 'build'], { cwd: root, stdio: 'inherit' });
  process.exitCode = status ?? 1;
} else if (existsSync(join(root, 'dist/main.js'))) {
  process.stderr.write('hubcap: no compiler is installed here: dist/ is used as it is\n');
} else {
  process.stderr.write(
    'hubcap: nothing is built, as no compiler is installed: `npm ci` without --omit=dev builds\n',
  );
}
