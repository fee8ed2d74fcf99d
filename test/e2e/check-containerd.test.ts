/** A real containerd asks a mirror exactly where `hubcap check` finds nothing wrong with its hosts.toml. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { inspectContainerd } from '../../src/check/clients/containerd.ts';
import { hostsTomlCases } from '../check/clients/hosts-toml-table.ts';
import { containerdNeeds, startContainerd } from '../helpers/engines/containerd.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { runProgram } from '../helpers/engines/program.ts';
import { startPersonaServer } from '../helpers/persona-server.ts';

/** Nobody listens there: where the mirror is not asked, nobody is. */
const REGISTRY = '127.0.0.1:9';

t.test('containerd asks the mirror of a hosts.toml that check finds right', async (t) => {
  if (!needs(t, ...containerdNeeds)) return;
  const mirror = await startPersonaServer(t, () => ({
    status: 404,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from('{}'),
  }));
  const { ctr } = await startContainerd(t, mirror.url);
  const directory = await makeDirectory(t, 'check-containerd');
  await mkdir(join(directory, REGISTRY));
  for (const [at, { text, isAsked }] of hostsTomlCases.entries()) {
    await writeFile(join(directory, REGISTRY, 'hosts.toml'), text.replaceAll('MIRROR', mirror.host));
    const name = `case${at}`;
    await t.rejects(ctr('images', 'pull', '--hosts-dir', directory, `${REGISTRY}/${name}:latest`));
    t.equal(mirror.count('HEAD', name) > 0, isAsked, text);
  }
});

t.test('containerd takes config_path from where check looks for it', async (t) => {
  if (!needs(t, 'containerd')) return;
  const { stdout: version } = await runProgram(t, 'containerd', ['--version']);
  const isFirst = / v?1\.\d+/.test(version);
  const directory = await makeDirectory(t, 'check-containerd');
  const path = join(directory, 'config.toml');
  const set = 'config_path = "/somewhere"\n';
  const files = [
    `[plugins.cri.registry]\n${set}`,
    `version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\n${set}`,
    `[plugins."io.containerd.grpc.v1.cri".registry]\n${set}`,
    'version = 2\n',
    ...(isFirst ? [`version = 2\n[plugins."io.containerd.cri.v1.images".registry]\n${set}`] : []),
  ];
  for (const text of files) {
    await writeFile(path, text);
    const { stdout } = await runProgram(t, 'containerd', ['--config', path, 'config', 'dump']);
    const { directories } = inspectContainerd([{ path, text }], true);
    t.equal(/config_path = ["']\/somewhere["']/.test(stdout), directories.includes('/somewhere'), text);
  }
});
