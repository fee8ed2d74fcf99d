/** What `npm pack` makes is installed as a user would, and serves. */

import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { fetch } from '../helpers/client.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { runProgram, startProgram } from '../helpers/engines/program.ts';
import { cloneTo, lacksPackages, npm, npmOrThrow, root } from './npm.ts';

// It is built, and npm may have to fetch.
t.setTimeout(600_000);

/** 33 MB when this was written. */
const MAX_INSTALLED_BYTES = 40_000_000;
/** 0.3 MB when this was written. */
const MAX_TARBALL_BYTES = 2_000_000;

t.test('the package serves where nothing else is installed', { timeout: 300_000 }, async (t) => {
  if (!needs(t, 'npm')) return;
  const directory = await makeDirectory(t, 'package');
  const tarball = await pack(t, directory);
  const { size } = await stat(tarball);
  t.comment(`tarball: ${size} bytes`);
  t.ok(size <= MAX_TARBALL_BYTES, `${size} bytes packed`);

  const home = join(directory, 'home');
  await mkdir(home);
  const installed = await npm(t, home, 'install', '--omit=dev', '--prefer-offline', tarball);
  if (lacksPackages(t, installed)) return;
  t.equal(installed.code, 0, installed.stderr);
  const bytes = await bytesBelow(join(home, 'node_modules'));
  t.comment(`installed: ${bytes} bytes`);
  t.ok(bytes <= MAX_INSTALLED_BYTES, `${bytes} bytes installed`);
  const modules = await readdir(join(home, 'node_modules'));
  t.notOk(modules.some((name) => ['typescript', 'esbuild', 'tap', 'node'].includes(name)));
  t.same((await readdir(join(home, 'node_modules/hubcap'))).sort(), [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'daemon.json.example',
    'deploy',
    'dist',
    'docs',
    'grafana',
    'hubcap.example.yaml',
    'package.json',
  ]);
  await seeServing(t, home);
});

t.test(
  'a clean clone without devDependencies is small, and says that it builds nothing',
  { timeout: 300_000 },
  async (t) => {
    if (!needs(t, 'npm')) return;
    const clone = join(await makeDirectory(t, 'clone'), 'hubcap');
    await cloneTo(clone);
    const installed = await npm(t, clone, 'ci', '--omit=dev', '--prefer-offline', '--foreground-scripts');
    if (lacksPackages(t, installed)) return;
    t.equal(installed.code, 0, installed.stderr);
    t.match(installed.stderr, /nothing is built/);
    const bytes = await bytesBelow(join(clone, 'node_modules'));
    t.comment(`npm ci --omit=dev: ${bytes} bytes`);
    t.ok(bytes <= MAX_INSTALLED_BYTES, `${bytes} bytes installed`);
  },
);

/** Packs a copy: to build here would take dist/ from under other tests. @returns the tarball's path */
async function pack(t: Test, directory: string): Promise<string> {
  const clone = join(directory, 'clone');
  await cloneTo(clone);
  await symlink(join(root, 'node_modules'), join(clone, 'node_modules'));
  const [packed] = JSON.parse(
    await npmOrThrow(t, clone, 'pack', '--json', '--silent', `--pack-destination=${directory}`),
  );
  const names: string[] = packed.files.map(({ path }: { path: string }) => path);
  for (const name of [
    'dist/main.js',
    'dist/page/index.html',
    'dist/page/page.js.gz',
    'deploy/systemd/hubcap.service',
    'docs/runbook.md',
    'grafana/hubcap.json',
  ])
    t.ok(names.includes(name), `${name} is packed`);
  t.same(
    names.filter((name) => /\.ts$|^(test|src|page|bench|build)\//.test(name)),
    [],
    'no sources',
  );
  return join(directory, packed.filename);
}

async function seeServing(t: Test, home: string): Promise<void> {
  const command = join(home, 'node_modules/.bin/hubcap');
  const file = join(home, 'hubcap.yaml');
  await writeFile(
    file,
    'listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstorage: { directory: ./data, minFree: 0B }\n',
  );
  const env = { HOME: home };
  const said = await runProgram(t, command, ['--version'], { env });
  t.match(said.stdout, /^\d+\.\d+\.\d+\n$/);
  const serving = startProgram(t, command, ['serve', '--config', file], { env });
  const [ready] = await serving.line(/^\{.*"msg":"ready".*\}$/);
  const { listen, admin } = JSON.parse(ready) as { listen: string; admin: string };
  t.equal((await fetch(`${listen}/v2/`)).status, 200);
  const page = await fetch(admin, { headers: { accept: 'text/html' } });
  const shipped = await readFile(join(home, 'node_modules/hubcap/dist/page/index.html'));
  t.ok(page.status === 200 && page.body.equals(shipped), 'the page is there');
  t.match((await fetch(`${admin}/metrics`)).body.toString(), /^hubcap_build_info\{/m);
  await serving.stop();
  t.equal(serving.code, 0);
}

/** What files take on disk. */
async function bytesBelow(directory: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).blocks * 512;
  }
  return bytes;
}
