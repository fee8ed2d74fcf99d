import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { run, serve } from '../helpers/command.ts';
import { imageOf } from '../helpers/content.ts';
import { makeDirectory } from '../helpers/mirror.ts';
import { startRegistry } from '../helpers/registry.ts';
import { until } from '../helpers/waiting.ts';

const image = imageOf('by signal', [1000]);
const latest = '/v2/library/app/manifests/latest';

/** A hubcap with a configuration file that the test writes. */
async function start(t: Test) {
  const registry = await startRegistry(t);
  registry.push('library/app', image, 'latest');
  const data = await makeDirectory(t);
  const file = join(data, 'hubcap.yaml');
  const write = (yaml: string): void => writeFileSync(file, yaml);
  const url = JSON.stringify(registry.url);
  const upstreams = (hosts: readonly string[]) =>
    `upstreams: { ${hosts.map((host) => `${host}: { url: ${url} }`).join(', ')} }\n`;
  write(upstreams(['docker.io']));
  const args = ['--config', file, '--data', join(data, 'store')];
  const status = async (listen: string | undefined, host: string): Promise<number> =>
    (await globalThis.fetch(`${listen}${latest}?ns=${host}`)).status;
  return { file, write, upstreams, args, status };
}

t.test('SIGHUP: what is new holds, what is bad changes nothing, and the log says which', async (t) => {
  const { write, upstreams, args, status } = await start(t);
  const { child, ready, output } = await serve(t, args);
  const said = (text: string, times = 1) => output().split(text).length - 1 >= times;
  t.equal(await status(ready.listen, 'other.test'), 404);
  write(upstreams(['docker.io', 'other.test']));
  child.kill('SIGHUP');
  await until('it is reloaded', () => said('the configuration is reloaded'), 20);
  t.equal(await status(ready.listen, 'other.test'), 200);

  write('upstreams: { nodots: {} }\nlisten: nonsense\nproxy: { http: "ftp://u:hunter2@p" }\n');
  child.kill('SIGHUP');
  await until('it is refused', () => said('nothing has changed'), 20);
  const refusal =
    output()
      .split('\n')
      .find((line) => line.includes('nothing has changed')) ?? '';
  t.match(JSON.parse(refusal), {
    level: 'error',
    problems: [/^listen: /, /^upstreams\.nodots: /, /^proxy\.http: /],
  });
  t.notMatch(output(), /hunter2/);
  t.equal(await status(ready.listen, 'other.test'), 200);

  write(`listen: 127.0.0.1:1\nlog: { level: debug }\n${upstreams(['docker.io'])}`);
  child.kill('SIGHUP');
  await until('it is reloaded', () => said('the configuration is reloaded', 2), 20);
  t.equal(await status(ready.listen, 'other.test'), 404);
  t.notMatch(output(), 'holds after a restart', 'a flag went before the file');
  const lines = output().split('\n');
  const last = lines.findLast((line) => line.includes('the configuration is reloaded')) ?? '';
  t.match(JSON.parse(last), { settings: ['log.level'], removed: ['other.test'] });
});

t.test('the command says what has changed, or what is wrong', async (t) => {
  const { file, write, upstreams, args, status } = await start(t);
  const none = await run('reload', ...args);
  t.match(none, { code: 1, stderr: /no hubcap runs with .*--data DIR/s });

  const { ready } = await serve(t, args);
  write(`storage: { scrub: 1MiB }\nhttp: { drain: 1s }\n${upstreams(['docker.io', 'other.test'])}`);
  const changed = await run('reload', ...args);
  t.equal(changed.code, 0);
  t.match(changed.stdout, /added +other\.test\n.*now holds +http\.drain\n.*after a restart: storage\.scrub/s);
  t.equal(await status(ready.listen, 'other.test'), 200);
  const again = await run('reload', ...args, '--json');
  t.same(JSON.parse(again.stdout), {
    added: [],
    changed: [],
    removed: [],
    settings: [],
    needsRestart: ['storage.scrub'],
  });
  const shown = await run('status', ...args);
  t.match(shown.stdout, /config +loaded at .*after a restart: storage\.scrub/);

  // The command itself has a file that is well: the daemon's is not.
  const good = join(file, '../good.yaml');
  writeFileSync(good, '');
  write('upstreams: { nodots: {} }');
  const bad = await run('reload', '--config', good, ...args.slice(2));
  t.equal(bad.code, 2);
  t.match(
    bad.stderr,
    /nothing has changed: 1 problem in the configuration .*\n {2}upstreams\.nodots: expected/,
  );
  rmSync(file);
  const gone = await run('reload', '--config', good, ...args.slice(2));
  t.equal(gone.code, 2);
  t.match(gone.stderr, /there is none at this path/);
  t.equal(await status(ready.listen, 'other.test'), 200);
});
