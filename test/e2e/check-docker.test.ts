/** Where `hubcap check` says that Docker does not start, a real dockerd does not; where it says nothing, it does. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { inspectDaemonJson } from '../../src/check/clients/docker.ts';
import { flagsIn, inspectFlags } from '../../src/check/clients/docker-flags.ts';
import { daemonJsonCases } from '../check/clients/daemon-json-table.ts';
import { unmountBelow } from '../helpers/engines/dockerd.ts';
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
