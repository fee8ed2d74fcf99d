/** Owns the building of the status page: one document, one script, one style sheet, and each of them compressed. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = join(import.meta.dirname, '..');
const source = join(root, 'page');
const target = join(root, 'dist/page');

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
await build({
  absWorkingDir: source,
  entryPoints: { page: 'main.ts', style: 'style.css' },
  outdir: target,
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022'],
  legalComments: 'eof', // what it bundles is licensed on condition that this is kept
  logLevel: 'warning',
});
for (const name of ['index.html', 'icon.svg'])
  writeFileSync(join(target, name), readFileSync(join(source, name)));
for (const name of readdirSync(target)) {
  const body = readFileSync(join(target, name));
  writeFileSync(join(target, `${name}.gz`), gzipSync(body, { level: constants.Z_BEST_COMPRESSION }));
}
