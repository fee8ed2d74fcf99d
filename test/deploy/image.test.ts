/**
 * The image of deploy/Dockerfile is built and run. What it is built from cannot be pulled here: an image of this machine's
 * node and npm has its name.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { fetch, open } from '../helpers/client.ts';
import { blobOf, MIB } from '../helpers/content.ts';
import { needs } from '../helpers/engines/needs.ts';
import { runProgram } from '../helpers/engines/program.ts';
import { blobDownloads, only, stalling } from '../helpers/personas.ts';
import { type Registry, startRegistry } from '../helpers/registry.ts';
import { makeGate, until } from '../helpers/waiting.ts';
import {
  type Builder,
  builderNeeds,
  defaultOf,
  importNodeImage,
  makeBuilder,
  offlineNpm,
} from './builder.ts';
import { lacksPackages, root } from './npm.ts';

const dockerfile = join(root, 'deploy/Dockerfile');
// A build of everything, on a base that is made first.
t.setTimeout(600_000);

/** What an image of hubcap adds to its base: 26 MB when this was written. */
const MAX_OWN_BYTES = 40_000_000;
/** As anyone careful runs it: deploy/compose.yaml and deploy/kubernetes do. */
const HARDENED = ['--read-only', '--cap-drop=all', '--security-opt=no-new-privileges'];

t.test(
  'the image is made of the release of node that is tested, and has the version of the package',
  async (t) => {
    const version = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')).version;
    t.equal(await defaultOf(dockerfile, 'VERSION'), version);
    t.equal(await defaultOf(dockerfile, 'NODE'), `docker.io/library/node:${await lockedNode()}-slim`);
  },
);

t.test('the image is built, and serves', { timeout: 590_000 }, async (t) => {
  if (!needs(t, ...builderNeeds)) return;
  const builder = await makeBuilder(t);
  const base = await defaultOf(dockerfile, 'NODE');
  await importNodeImage(builder, t, base);
  // One layer for each stage: this storage copies all of an image for each. Nothing may be pulled.
  const flags = ['--format=docker', '--layers=false', '--isolation=chroot', '--pull=never'];
  const volumes = await offlineNpm(t, builder);
  const built = await builder.try(
    'build',
    ...flags,
    ...volumes,
    '--tag=hubcap',
    `--file=${dockerfile}`,
    root,
  );
  if (lacksPackages(t, built)) return;
  if (built.code !== 0) throw new Error('podman build', { cause: built });
  await t.test('it adds little to its base, and nothing that builds', (t) => seeContent(t, builder, base));
  await t.test('it runs with no rights, on a file system that cannot be written', (t) => seeRun(t, builder));
  await t.test('it needs no system call that the systemd unit refuses', (t) => seeFiltered(t, builder));
  await t.test('SIGTERM ends it when what runs is done', (t) => seeDrain(t, builder));
});

/** The filter of the systemd unit, in the form that containers have: systemd itself runs in no container of CI's. */
async function seeFiltered(t: Test, { directory, podman, start, try: attempt }: Builder): Promise<void> {
  if (!needs(t, 'systemd-analyze')) return;
  const registry = await startRegistry(t);
  const blob = blobOf(2 * MIB, 'filtered');
  registry.push('library/app', blob);
  const profile = join(directory, 'seccomp.json');
  const names = await allowedCalls(t, await readFile(join(root, 'deploy/systemd/hubcap.service'), 'utf8'));
  t.ok(names.includes('read') && !names.includes('mount'), `${names.length} system calls`);
  const refuse = { defaultAction: 'SCMP_ACT_ERRNO', defaultErrnoRet: 1 };
  await writeFile(profile, JSON.stringify({ ...refuse, syscalls: [{ names, action: 'SCMP_ACT_ALLOW' }] }));
  const filtered = [...HARDENED, `--security-opt=seccomp=${profile}`];
  const running = start(
    'run',
    '--name=filtered',
    '--network=host',
    ...filtered,
    ...settingsFor(registry),
    'hubcap',
  );
  const [, url] = await running.line(/"listen":"([^"]+)".*"msg":"ready"/);
  const answer = await fetch(`${url}/v2/library/app/blobs/${blob.digest}`);
  t.ok(answer.isComplete && answer.body.equals(blob.body));
  t.match(await podman('exec', 'filtered', 'hubcap', 'images', '--json'), /^\S*$/, 'a command of it');
  const refused = await attempt('exec', 'filtered', 'node', '-e', 'os.setPriority(5)');
  t.match(refused.stderr, /EPERM/, 'what is not in the filter is refused');
  await podman('stop', 'filtered');
  await running.closed;
  t.equal(running.code, 0);
}

/** What the lines of `SystemCallFilter` leave, with sets taken apart. */
async function allowedCalls(t: Test, unit: string): Promise<string[]> {
  const { stdout } = await runProgram(t, 'systemd-analyze', ['syscall-filter', '--no-pager']);
  const sets = new Map<string, string[]>();
  for (const part of stdout.split(/\n(?=@)/)) {
    const [name = '', ...lines] = part.split('\n').map((line) => line.trim());
    sets.set(
      name,
      lines.filter((line) => line !== '' && !line.startsWith('#')),
    );
  }
  const expand = (name: string): string[] =>
    name.startsWith('@') ? (sets.get(name) ?? []).flatMap(expand) : [name];
  const allowed = new Set<string>();
  for (const [, not, names = ''] of unit.matchAll(/^SystemCallFilter=(~?)(.*)$/gm)) {
    for (const call of names.split(' ').flatMap(expand)) {
      if (not) allowed.delete(call);
      else allowed.add(call);
    }
  }
  return [...allowed];
}

/** On free ports of this machine, before a registry of the test. */
function settingsFor({ url }: Registry): string[] {
  const settings = { LISTEN: '127.0.0.1:0', ADMIN: '127.0.0.1:0', UPSTREAM: url, MIN_FREE: '0B' };
  return Object.entries(settings).map(([name, value]) => `--env=HUBCAP_${name}=${value}`);
}

async function seeContent(t: Test, { podman }: Builder, base: string): Promise<void> {
  const sizeOf = async (image: string) =>
    Number(await podman('image', 'inspect', '--format={{.Size}}', image));
  const own = (await sizeOf('hubcap')) - (await sizeOf(base));
  t.comment(`own layers: ${own} bytes`);
  t.ok(own > MIB && own <= MAX_OWN_BYTES, `${own} bytes beside the base`);
  const {
    Labels: labels,
    User,
    Volumes,
  } = JSON.parse(await podman('image', 'inspect', '--format={{json .Config}}', 'hubcap'));
  t.equal(User, '1000:1000', 'a number that is not 0: Kubernetes can tell');
  t.same(Object.keys(Volumes), ['/var/lib/hubcap']);
  t.equal(labels['org.opencontainers.image.licenses'], 'Apache-2.0');
  const modules = await runNode(
    podman,
    `console.log(fs.readdirSync('/opt/hubcap').sort().join(), fs.readdirSync('/opt/hubcap/node_modules').filter((name) => ['tap', 'typescript', 'esbuild', 'node'].includes(name)).length)`,
  );
  t.equal(modules, 'LICENSE,dist,node_modules,package.json 0');
  t.match(
    await podman('run', '--rm', ...HARDENED, 'hubcap', '--version'),
    /^\d+\.\d+\.\d+$/,
    'a command of it',
  );
}

async function seeRun(t: Test, { podman, start, try: attempt }: Builder): Promise<void> {
  const name = 'as-it-is';
  const running = start(
    'run',
    `--name=${name}`,
    '--network=none',
    ...HARDENED,
    '--volume=data:/var/lib/hubcap',
    'hubcap',
  );
  await running.line(/"msg":"ready"/);
  const inside = (...command: string[]) => podman('exec', name, ...command);
  const evaluate = (script: string) => inside('node', '-e', script);
  const status = await evaluate('console.log(fs.readFileSync("/proc/1/status", "utf8"))');
  for (const line of [/^Name:\s+node/m, /^Uid:\s+1000\s+1000/m, /^CapEff:\s+0+$/m, /^NoNewPrivs:\s+1$/m])
    t.match(status, line);
  const refused = await attempt('exec', name, 'node', '-e', 'fs.writeFileSync("/opt/hubcap/x", "")');
  t.match(refused.stderr, /EROFS/);
  const listening = await evaluate(
    'console.log(["tcp", "tcp6"].map((name) => fs.readFileSync("/proc/net/" + name, "utf8")).join(""))',
  );
  for (const port of [5000, 5001]) {
    const everywhere = new RegExp(`: 0+:${port.toString(16).toUpperCase().padStart(4, '0')} `);
    t.match(listening, everywhere, `${port} on all interfaces`);
  }
  const answer = 'fetch("http://127.0.0.1:5000/v2/").then(({ status }) => console.log(status))';
  t.equal(await evaluate(answer), '200');
  const page = 'fetch("http://127.0.0.1:5001/").then(async (page) => console.log(await page.text()))';
  t.match(await evaluate(page), /^<!doctype html>/i, 'the page is there');
  t.match(JSON.parse(await inside('hubcap', 'status', '--json')), { directory: '/var/lib/hubcap' });
  t.equal((await attempt('healthcheck', 'run', name)).code, 0, 'healthy');
  await inside('node', '-e', 'process.kill(1, "SIGHUP")');
  await running.line(/"msg":"the configuration is reloaded"/);
  await podman('stop', name);
  await running.closed;
  t.equal(running.code, 0);

  const unwell = start(
    'run',
    '--name=unwell',
    '--network=none',
    // As OpenShift has it: a number that is nobody's, in the group 0.
    '--user=123456:0',
    '--passwd=false',
    ...HARDENED,
    '--env=HUBCAP_ADMIN=127.0.0.2:5001',
    'hubcap',
  );
  await unwell.line(/"msg":"ready"/);
  t.match(
    await podman('exec', 'unwell', 'hubcap', 'images', '--json'),
    /^\S*$/,
    'by a number without an account',
  );
  t.not((await attempt('healthcheck', 'run', 'unwell')).code, 0, 'who does not answer there is not healthy');
  await podman('rm', '--force', 'unwell');
}

async function seeDrain(t: Test, { podman, start }: Builder): Promise<void> {
  const registry = await startRegistry(t);
  const blob = blobOf(8 * MIB, 'drained');
  registry.push('library/app', blob);
  const gate = makeGate();
  t.teardown(gate.open);
  registry.act(only(blobDownloads, stalling(MIB, gate.opened)));
  const running = start(
    'run',
    '--name=draining',
    '--network=host',
    ...HARDENED,
    ...settingsFor(registry),
    'hubcap',
  );
  const [, url] = await running.line(/"listen":"([^"]+)".*"msg":"ready"/);
  const reader = await open(`${url}/v2/library/app/blobs/${blob.digest}`);
  await reader.receive(1);
  await podman('kill', '--signal=TERM', 'draining');
  await running.line(/"msg":"stopping/);
  t.ok(running.isRunning);
  gate.open();
  const { isComplete, body } = await reader.ended;
  t.ok(isComplete && body.equals(blob.body), 'who was there is served to the end');
  await running.closed;
  t.equal(running.code, 0);
  await until('nobody asks upstream', () => registry.answering === 0);
}

async function runNode(podman: Builder['podman'], script: string): Promise<string> {
  return await podman('run', '--rm', '--network=none', '--entrypoint=node', 'hubcap', '-e', script);
}

async function lockedNode(): Promise<string> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'));
  return lock.packages['node_modules/node'].version;
}
