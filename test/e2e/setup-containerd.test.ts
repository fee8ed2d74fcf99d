/** A real containerd takes what `hubcap setup containerd --write` wrote, and pulls through hubcap. */

import { join } from 'node:path';
import t from 'tap';
import { commandsOf } from '../helpers/engines/commands.ts';
import { containerdNeeds, startContainerd } from '../helpers/engines/containerd.ts';
import { needs } from '../helpers/engines/needs.ts';
import { runProgram } from '../helpers/engines/program.ts';
import { byDigest, nothing, onePull, stackNeeds, startStack } from '../helpers/engines/stack.ts';
import { makeRoot } from '../helpers/setup-root.ts';

const CONFIG = '/etc/containerd/config.toml';
const HOSTS = '/etc/containerd/certs.d';
const HUB = `${HOSTS}/docker.io/hosts.toml`;
const layers = [{ seed: 'base', bytes: 1_000_000 }];

/** Nobody listens there: what is pulled came through hubcap. */
const existing = `# ours\nserver = "http://127.0.0.1:9"\n\n[host."http://127.0.0.1:9"]\n  capabilities = ["pull"] # near\n`;

const withPath =
  'version = 2\n[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n';

for (const [what, upstreamHost] of Object.entries({
  'Docker Hub': 'docker.io',
  'another registry': 'registry.test',
})) {
  t.test(`containerd pulls from ${what} through hubcap with the hosts.toml that setup wrote`, async (t) => {
    if (!needs(t, ...containerdNeeds, ...stackNeeds)) return;
    const stack = await startStack(t, { upstreamHost });
    const { run } = commandsOf(t, stack.hubcap);
    const file = `${HOSTS}/${upstreamHost}/hosts.toml`;
    const root = makeRoot(t, { [CONFIG]: withPath, [file]: existing });
    const to = ['--url', stack.hubcap.url, '--upstream', upstreamHost, '--root', root.path];
    await run('setup', 'containerd', ...to, '--write');
    const { ctr } = await startContainerd(t, 'http://127.0.0.1:9');
    const image = await stack.push('acme/app', { format: 'oci', tag: '1', layers });
    const name = `${upstreamHost}/acme/app:1`;
    const pull = () =>
      ctr('images', 'pull', '--snapshotter=native', '--hosts-dir', join(root.path, HOSTS), name);
    t.strictSame(byDigest(await stack.cost(pull), image), onePull('acme/app', image));
    await ctr('images', 'rm', '--sync', name);
    t.strictSame(await stack.cost(pull), nothing, 'it came from the store');
    await run('setup', 'containerd', ...to, '--undo');
    t.strictSame(root.all(), { [CONFIG]: withPath, [file]: existing });
    await ctr('images', 'rm', '--sync', name);
    await t.rejects(pull(), 'without it containerd does not find hubcap');
  });
}

const configs: Record<string, string> = {
  'no file': '',
  'an empty config_path':
    'version = 2\n[plugins]\n  [plugins."io.containerd.grpc.v1.cri"]\n    sandbox_image = "pause:1" # ours\n    [plugins."io.containerd.grpc.v1.cri".registry]\n      config_path = ""\n      [plugins."io.containerd.grpc.v1.cri".registry.mirrors]\n',
  'a file of version 1': 'oom_score = -999\n[plugins.cri]\n  sandbox_image = "pause:1"\n',
};
for (const [what, config] of Object.entries(configs)) {
  t.test(`containerd reads config_path from what setup made of ${what}`, async (t) => {
    if (!needs(t, ...containerdNeeds)) return;
    const root = makeRoot(t, config === '' ? {} : { [CONFIG]: config });
    const { run } = commandsOf(t, { dataDirectory: root.path });
    const flags = ['--url', 'http://127.0.0.1:5000', '--root', root.path];
    await run('setup', 'containerd', ...flags, '--write');
    const dump = await runProgram(t, 'containerd', ['--config', join(root.path, CONFIG), 'config', 'dump']);
    t.match(dump.stdout, /^ *config_path = "\/etc\/containerd\/certs\.d"$/m);
    t.equal(dump.code, 0, dump.stderr);
    await run('setup', 'containerd', ...flags, '--undo');
    t.strictSame(root.all(), config === '' ? {} : { [CONFIG]: config });
    t.equal(root.get(HUB), undefined);
  });
}
