/** A real podman takes what `hubcap setup podman --write` wrote, and pulls through hubcap. */

import t from 'tap';
import { commandsOf } from '../helpers/engines/commands.ts';
import { needs } from '../helpers/engines/needs.ts';
import { makePodman, podmanNeeds } from '../helpers/engines/podman.ts';
import { byDigest, nothing, onePull, stackNeeds, startStack } from '../helpers/engines/stack.ts';
import { makeRoot } from '../helpers/setup-root.ts';

const MAIN = '/etc/containers/registries.conf';
const DROP_IN = '/etc/containers/registries.conf.d/50-hubcap.conf';
const base = 'unqualified-search-registries = []\n';
/** Nobody listens there: what is pulled came through hubcap. */
const withRegistry = `# ours\r\n${base.replace('\n', '\r\n')}[[registry]]\r\nprefix = "registry.test"\r\nlocation = "127.0.0.1:9" # nobody\r\ninsecure = true\r\n`;
const layers = [{ seed: 'base', bytes: 1_000_000 }];

for (const [what, upstreamHost, main] of [
  ['Docker Hub with a file of its own', 'docker.io', base],
  ['another registry with a file of its own', 'registry.test', base],
  ['another registry with a mirror in the table that is there', 'registry.test', withRegistry],
] as const) {
  t.test(`podman pulls from ${what} that setup wrote`, async (t) => {
    if (!needs(t, ...podmanNeeds, ...stackNeeds)) return;
    const stack = await startStack(t, { upstreamHost });
    const { run } = commandsOf(t, stack.hubcap);
    const root = makeRoot(t, { [MAIN]: main });
    const to = ['--url', stack.hubcap.url, '--upstream', upstreamHost, '--root', root.path];
    await run('setup', 'podman', ...to, '--write');
    t.equal(root.get(DROP_IN) === undefined, main === withRegistry);
    const dropIn = root.get(DROP_IN);
    const podman = await makePodman(
      t,
      '127.0.0.1:9',
      root.get(MAIN),
      dropIn === undefined ? {} : { '50-hubcap.conf': dropIn },
    );
    const image = await stack.push('acme/app', { format: 'oci', tag: '1', layers });
    const pull = () => podman('pull', '--quiet', `${upstreamHost}/acme/app:1`);
    t.strictSame(byDigest(await stack.cost(pull), image), onePull('acme/app', image));
    await podman('rmi', '--all', '--force');
    t.strictSame(await stack.cost(pull), nothing, 'it came from the store');
    await run('setup', 'podman', ...to, '--undo');
    t.strictSame(root.all(), { [MAIN]: main });
    await podman('rmi', '--all', '--force');
    const without = await makePodman(t, '127.0.0.1:9', root.get(MAIN));
    await t.rejects(
      without('pull', '--quiet', `${upstreamHost}/acme/app:1`),
      'without it podman does not find hubcap',
    );
  });
}
