/** Where `hubcap check` says that Docker does not start, a real dockerd does not; where it says nothing, it does. */
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { inspectDaemonJson } from '../../src/check/clients/docker.ts';
import { flagsIn, inspectFlags } from '../../src/check/clients/docker-flags.ts';
import { daemonJsonCases } from '../check/clients/daemon-json-table.ts';
import { dockerNeeds, startDockerd, unmountBelow } from '../helpers/engines/dockerd.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { runProgram } from '../helpers/engines/program.ts';

/** The last of what dockerd looks at before it begins to work: it ends there, whatever its configuration says. */
const STOPPER = ['--bridge=nowhere', '--bip=10.1.2.3/24'];
const STOPPED = /mutually exclusive/;

t.test('dockerd refuses what check says it refuses, and nothing else', async (t) => {
  if (!needs(t, 'root', 'dockerd')) return;
  const directory = await makeDirectory(t, 'check-docker');
  t.teardown(() => unmountBelow(t, directory));
  const inside = (name: string): string => join(directory, name);
  const { stdout } = await runProgram(t, 'dockerd', ['--version']);
  // 23 is the first that reads the whole file.
  const isOlder = Number(/version (\d+)/.exec(stdout)?.[1]) < 23;
  for (const { text, flags = [] } of daemonJsonCases) {
    const { findings, keys } = inspectDaemonJson({ path: '/etc/docker/daemon.json', text });
    const all = [...findings, ...inspectFlags(flagsIn(flags, 'flags'), keys)];
    const refused = ['all', isOlder ? 'older' : 'newer'];
    const isRefused = all.some(({ facts }) => refused.includes(String(facts.refused)));
    await writeFile(inside('daemon.json'), text);
    const dockerd = await runProgram(t, 'dockerd', [
      `--config-file=${inside('daemon.json')}`,
      `--data-root=${inside('data')}`,
      `--exec-root=${inside('exec')}`,
      `--pidfile=${inside('pid')}`,
      `--host=unix://${inside('docker.sock')}`,
      `--containerd=${inside('none.sock')}`,
      ...STOPPER,
      ...flags,
    ]);
    t.not(dockerd.code, 0, 'it ends in any case');
    t.equal(!STOPPED.test(dockerd.stderr), isRefused, `${text} ${flags.join(' ')}`, {
      dockerd: dockerd.stderr,
    });
  }
});

t.test('plain HTTP to a mirror that is not on loopback needs no insecure-registries', async (t) => {
  if (!needs(t, ...dockerNeeds)) return;
  const address = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
  if (address === undefined) return t.plan(0, 'needs an address beside loopback');
  const asked: string[] = [];
  const mirror = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(404).end();
  });
  mirror.listen(0, address); // of this machine: nothing leaves it
  await once(mirror, 'listening');
  t.teardown(() => mirror.close());
  const { port } = mirror.address() as AddressInfo;
  const text = JSON.stringify({ 'registry-mirrors': [`http://${address}:${port}`] });
  t.same(inspectDaemonJson({ path: 'daemon.json', text }).findings, []);
  const engine = await startDockerd(t, text);
  t.not((await engine.try('pull', 'alpine')).code, 0, 'nobody has it');
  t.ok(asked.includes('/v2/library/alpine/manifests/latest'), 'the mirror was asked');
});
