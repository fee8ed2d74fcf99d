/** One hubcap in front of two registries: one that gives tokens, one that wants a login with each request. */

import t from 'tap';
import { containerdNeeds, startContainerd } from '../helpers/engines/containerd.ts';
import { dockerNeeds, mirroredBy, startDockerd } from '../helpers/engines/dockerd.ts';
import { startHubcap } from '../helpers/engines/hubcap.ts';
import { type ImageSpec, pushImage } from '../helpers/engines/image.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makePodman, podmanNeeds } from '../helpers/engines/podman.ts';
import { Push } from '../helpers/engines/push.ts';
import { mirrorWithPrefix } from '../helpers/engines/registries-conf.ts';
import { keeper, startRegistry, startRegistryWithLogin } from '../helpers/engines/registry.ts';
import { stackNeeds } from '../helpers/engines/stack.ts';
import { startTokenServer } from '../helpers/engines/token-server.ts';

const other = 'registry.test';
const repository = 'acme/app';

function specOf(seed: string): ImageSpec {
  return { format: 'oci', tag: '1', layers: [{ seed, bytes: 300_000 }], architectures: ['amd64'] };
}

/** The same name at both, with other content; the second registry's is listed as private. */
async function start(t: Parameters<typeof startTokenServer>[0]) {
  const tokens = await startTokenServer(t);
  const [hub, vault] = [await startRegistry(t, tokens), await startRegistryWithLogin(t)];
  const atHub = await pushImage(await Push.open(hub.url, tokens, repository), specOf('at the hub'));
  const atVault = await pushImage(Push.withLogin(vault.url, keeper, repository), specOf('in the vault'));
  await pushImage(Push.withLogin(vault.url, keeper, 'secret/app'), specOf('not for all'));
  const hubcap = await startHubcap(t, {
    upstreamUrl: hub.url,
    tagTtl: '0s',
    upstreams: { [other]: { url: vault.url, credentials: [keeper], private: ['acme/*'], tagTtl: '0s' } },
  });
  return { hub, vault, hubcap, atHub, atVault };
}

t.test('containerd pulls from two registries through one hubcap', async (t) => {
  if (!needs(t, ...containerdNeeds, ...stackNeeds)) return;
  const { hub, vault, hubcap, atHub, atVault } = await start(t);
  const { ctr, pullFlags } = await startContainerd(t, hubcap.url, 'docker.io', other);
  const pull = (name: string) => ctr('images', 'pull', '--snapshotter=native', ...pullFlags, name);
  const names = [`docker.io/${repository}:1`, `${other}/${repository}:1`];

  for (const name of names) await pull(name);
  const listed = (await ctr('images', 'ls')).split('\n');
  for (const [name, { digest }] of [
    [names[0], atHub],
    [names[1], atVault],
  ] as const) {
    t.ok(
      listed.some((line) => line.startsWith(`${name} `) && line.includes(digest)),
      `${name} is its own`,
    );
  }
  await t.rejects(pull(`${other}/secret/app:1`), 'what is private and not listed is not opened');

  await Promise.all([hub.stop(), vault.stop()]);
  await ctr('images', 'rm', '--sync', ...names);
  for (const name of names) await pull(name);
  const metrics = await hubcap.metrics();
  for (const upstream of ['docker.io', other]) {
    t.ok(metrics.sum('hubcap_requests_total', { upstream, outcome: 'stale' }) >= 1, `${upstream} is stale`);
  }
});

t.test('podman pulls another registry by its prefix, tags and digests by mirrors of their own', async (t) => {
  if (!needs(t, ...podmanNeeds, ...stackNeeds)) return;
  const { vault, hubcap, atVault } = await start(t);
  const podman = await makePodman(t, hubcap.host, mirrorWithPrefix(hubcap.host, other));
  const name = `${other}/${repository}`;

  await podman('pull', '--quiet', `${name}:1`);
  t.match(await podman('image', 'inspect', '--format', '{{.RepoDigests}}', `${name}:1`), atVault.digest);
  await t.rejects(podman('pull', '--quiet', `${other}/secret/app:1`), 'private, and not listed');
  await vault.stop();
  await podman('rmi', '--all', '--force');
  await podman('pull', '--quiet', `${name}@${atVault.digest}`);
  await podman('rmi', '--all', '--force');
  await podman('pull', '--quiet', `${name}:1`);
});

t.test('docker pulls the default one through the mirror, by the other its full address', async (t) => {
  if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
  const { hub, vault, hubcap, atHub, atVault } = await start(t);
  const { docker } = await startDockerd(t, mirroredBy(hubcap.url));
  const names = [`${repository}:1`, `${hubcap.host}/${other}/${repository}:1`];

  for (const name of names) await docker('pull', '--quiet', name);
  await Promise.all([hub.stop(), vault.stop()]);
  await docker('rmi', ...names);
  for (const [name = '', { digest }] of [
    [names[0], atHub],
    [names[1], atVault],
  ] as const) {
    await docker('pull', '--quiet', name);
    t.match(await docker('image', 'inspect', '--format', '{{json .RepoDigests}}', name), digest);
  }
});
