/** A real dockerd takes what `hubcap setup docker --write` wrote, and pulls through hubcap. */

import t from 'tap';
import { commandsOf } from '../helpers/engines/commands.ts';
import { dockerNeeds, startDockerd } from '../helpers/engines/dockerd.ts';
import { needs } from '../helpers/engines/needs.ts';
import { byDigest, nothing, onePull, stackNeeds, startStack } from '../helpers/engines/stack.ts';
import { makeRoot } from '../helpers/setup-root.ts';

const DAEMON_JSON = '/etc/docker/daemon.json';
const existing = '{\n\t"log-level" : "info",\n\t"registry-mirrors": [ "http://127.0.0.1:9" ]\n}\n';
const layers = [{ seed: 'base', bytes: 1_000_000 }];

t.test(
  'dockerd pulls through hubcap with the daemon.json that setup wrote, and undo restores the file',
  async (t) => {
    if (!needs(t, ...dockerNeeds, ...stackNeeds)) return;
    const stack = await startStack(t);
    const { run } = commandsOf(t, stack.hubcap);
    const root = makeRoot(t, { [DAEMON_JSON]: existing });
    const setup = (...flags: string[]) =>
      run('setup', 'docker', '--url', stack.hubcap.url, '--root', root.path, ...flags);
    await setup('--write');
    const engine = await startDockerd(t, root.get(DAEMON_JSON) ?? '');
    const mirrors = JSON.parse(await engine.docker('info', '--format', '{{json .RegistryConfig.Mirrors}}'));
    t.strictSame(
      mirrors,
      [`${stack.hubcap.url}/`, 'http://127.0.0.1:9/'],
      'hubcap comes before the mirror that was there',
    );
    const image = await stack.push('library/hubcap-app', { format: 'docker', tag: '1', layers });
    const first = await stack.cost(() => engine.docker('pull', 'hubcap-app:1'));
    t.strictSame(byDigest(first, image), onePull('library/hubcap-app', image));
    await engine.docker('image', 'rm', 'hubcap-app:1');
    t.strictSame(
      await stack.cost(() => engine.docker('pull', 'hubcap-app:1')),
      nothing,
      'it came from the store',
    );
    t.match(await run('images'), 'hubcap-app:1', "and is in hubcap's books");
    await setup('--undo');
    t.strictSame(root.all(), { [DAEMON_JSON]: existing });
  },
);

t.test('dockerd starts with what setup writes for a mirror on another machine', async (t) => {
  if (!needs(t, ...dockerNeeds)) return;
  const root = makeRoot(t, { [DAEMON_JSON]: '{}' });
  const { run } = commandsOf(t, { dataDirectory: root.path });
  await run('setup', 'docker', '--url', 'http://10.11.12.13:5000', '--root', root.path, '--write');
  const engine = await startDockerd(t, root.get(DAEMON_JSON) ?? '');
  const info = JSON.parse(await engine.docker('info', '--format', '{{json .RegistryConfig}}'));
  t.match(info.IndexConfigs['10.11.12.13:5000'], { Secure: false }, 'plain HTTP is allowed there');
  t.ok(info.InsecureRegistryCIDRs.includes('127.0.0.0/8'), 'and on the loopback as before');
});
