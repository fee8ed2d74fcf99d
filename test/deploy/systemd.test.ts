/** The unit files of deploy/systemd are what systemd takes, shut hubcap in, and agree with its configuration. */

import { once } from 'node:events';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { fetch } from '../helpers/client.ts';
import { main } from '../helpers/engines/hubcap.ts';
import { makeDirectory, needs } from '../helpers/engines/needs.ts';
import { runProgram, startProgram } from '../helpers/engines/program.ts';
import { findQuietAddress } from '../helpers/engines/registry.ts';
import { root } from './npm.ts';
import { loadFrom } from './settings.ts';

const files = join(root, 'deploy/systemd');
const read = (name: string): Promise<string> => readFile(join(files, name), 'utf8');

t.test('systemd takes the units without a word', async (t) => {
  if (!needs(t, 'systemd-analyze')) return;
  const directory = await copyUnits(t);
  const units = ['hubcap.service', 'hubcap.socket'].map((name) => join(directory, name));
  const { code, stderr } = await runProgram(t, 'systemd-analyze', ['verify', '--man=no', ...units]);
  t.equal(stderr, '');
  t.equal(code, 0);
  await writeFile(join(directory, 'hubcap.service.d/wrong.conf'), '[Service]\nLoadCredentials=x:/y\n');
  const wrong = await runProgram(t, 'systemd-analyze', ['verify', '--man=no', ...units]);
  t.match(wrong.stderr, /LoadCredentials/, 'it reads drop-ins, and would say it');
});

t.test('the service is shut in: exposure 2.0 at most', async (t) => {
  if (!needs(t, 'systemd-analyze')) return;
  const directory = await copyUnits(t);
  const judge = (threshold: number) =>
    runProgram(t, 'systemd-analyze', [
      'security',
      '--offline=true',
      `--threshold=${threshold}`,
      join(directory, 'hubcap.service'),
    ]);
  const { code, stdout } = await judge(20);
  t.comment(stdout.trim().split('\n').at(-1) ?? '');
  t.equal(code, 0);
  t.not((await judge(1)).code, 0, 'the threshold holds');
});

t.test('the account is one that systemd-sysusers makes', async (t) => {
  if (!needs(t, 'systemd-sysusers')) return;
  const place = await makeDirectory(t, 'sysusers');
  const flags = ['--dry-run', `--root=${place}`, '--inline'];
  const lines = (await read('hubcap.sysusers.conf')).split('\n').filter((line) => /^[^#]/.test(line));
  const { code, stderr } = await runProgram(t, 'systemd-sysusers', [...flags, ...lines]);
  t.equal(code, 0, stderr);
  const { Service } = parseUnit(await read('hubcap.service'));
  t.match(stderr, `Creating user '${Service?.User}'`);
  t.match(stderr, `Creating group '${Service?.Group}'`);
});

t.test('units, configuration and credentials agree', async (t) => {
  const directory = await makeDirectory(t, 'config');
  await writeFile(join(directory, 'hub-password'), 'secret\n');
  const { Service } = parseUnit(await read('hubcap.service'));
  const dropIn = parseUnit(await read('credentials.conf')).Service;
  const env = variables(`${Service?.Environment} ${dropIn?.Environment?.replaceAll('%d', directory)}`);
  t.equal(env.HUBCAP_CONFIG, '/etc/hubcap/hubcap.yaml');
  const config = loadFrom({ ...env, HUBCAP_CONFIG: join(files, 'hubcap.yaml') });
  t.equal(config.storage.directory, `/var/lib/${Service?.StateDirectory}`);
  t.equal(config.control, `/run/${Service?.RuntimeDirectory}/control.sock`);
  t.same(config.upstreams.get('docker.io')?.credentials, [
    { kind: 'password', username: 'someone', password: 'secret' },
  ]);
  t.match(dropIn?.LoadCredential, /^hub-password:\//);
  t.ok(config.http.drainMs < 1000 * Number.parseInt(Service?.TimeoutStopSec ?? '', 10), 'it may drain');
  t.ok(config.http.maxConnections * 4 <= Number(Service?.LimitNOFILE));
  const { Socket } = parseUnit(await read('hubcap.socket'));
  t.equal(Socket?.ListenStream, `${config.listen.host}:${config.listen.port}`);
  t.equal(Socket?.FileDescriptorName, 'listen');
});

t.test('hubcap takes the socket that systemd passes', async (t) => {
  if (!needs(t, 'systemd-socket-activate')) return;
  const address = await findQuietAddress();
  const { Socket } = parseUnit(await read('hubcap.socket'));
  const flags = [`--listen=${address}`, `--fdname=${Socket?.FileDescriptorName}`];
  const command = [process.execPath, main, 'serve', '--config', await writeConfig(t)];
  const serving = startProgram(t, 'systemd-socket-activate', [...flags, ...command]);
  await serving.line(/Listening on/);
  t.equal((await fetch(`http://${address}/v2/`)).status, 200, 'who started it by connecting is served');
  const [ready] = await serving.line(/^\{.*"msg":"ready".*\}$/);
  t.equal(JSON.parse(ready).listen, `http://${address}`, 'and it says where it listens');
  await serving.stop();
  t.equal(serving.code, 0);
});

t.test('who connects while hubcap restarts is served by the next one', async (t) => {
  if (!needs(t, 'perl', 'setpriv')) return;
  const command = [process.execPath, main, 'serve', '--config', await writeConfig(t)];
  const keeper = startProgram(t, 'perl', ['-MIO::Socket::INET', '-e', KEEPER, ...command]);
  const [, port] = await keeper.line(/^port (\d+)$/);
  const [, first] = await keeper.line(/^1 is (\d+)$/);
  const url = `http://127.0.0.1:${port}/v2/`;
  t.equal((await fetch(url)).status, 200);
  process.kill(Number(first), 'SIGTERM');
  await keeper.line(/^1 ended with 0$/);
  const client = connect(Number(port), '127.0.0.1');
  await once(client, 'connect');
  client.write('GET /v2/ HTTP/1.1\r\nHost: mirror\r\nConnection: close\r\n\r\n');
  keeper.kill('SIGUSR1');
  t.match(await text(client), /^HTTP\/1\.1 200 /);
  const [, second] = await keeper.line(/^2 is (\d+)$/);
  process.kill(Number(second), 'SIGTERM');
  await keeper.line(/^2 ended with 0$/);
});

/**
 * Does what systemd does with a socket unit: holds the socket, and passes it to one hubcap after the other. The second
 * starts at SIGUSR1.
 */
const KEEPER = `
  $^F = 9; $| = 1; my $go = 0; $SIG{USR1} = sub { $go = 1 };
  my $socket = IO::Socket::INET->new(Listen => 128, LocalAddr => '127.0.0.1', LocalPort => 0) or die $!;
  die 'not 3' unless fileno($socket) == 3;
  print 'port ', $socket->sockport, "\\n";
  for my $turn (1, 2) {
    my $child = fork;
    if (!$child) {
      @ENV{qw(LISTEN_PID LISTEN_FDS)} = ($$, 1);
      exec 'setpriv', '--pdeathsig', 'TERM', '--', @ARGV;
    }
    print "$turn is $child\\n";
    waitpid $child, 0;
    print "$turn ended with $?\\n";
    if ($turn == 1) { sleep 1 until $go }
  }
`;

/** Copies the units, with a program that is there in place of hubcap. @returns their directory */
async function copyUnits(t: Test): Promise<string> {
  const directory = await makeDirectory(t, 'units');
  const service = (await read('hubcap.service')).replace(/^(Exec\w+=)hubcap /gm, '$1/bin/true ');
  t.equal(service.match(/^Exec\w+=\/bin\/true/gm)?.length, 2, 'serve and reload');
  await writeFile(join(directory, 'hubcap.service'), service);
  await copyFile(join(files, 'hubcap.socket'), join(directory, 'hubcap.socket'));
  await mkdir(join(directory, 'hubcap.service.d'));
  await copyFile(join(files, 'credentials.conf'), join(directory, 'hubcap.service.d/credentials.conf'));
  return directory;
}

/** Settings by section; of those that are there several times, the last. */
function parseUnit(text: string): Record<string, Record<string, string>> {
  const sections: Record<string, Record<string, string>> = {};
  let section: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const [, name] = /^\[(\w+)\]$/.exec(line) ?? [];
    if (name !== undefined) {
      section = {};
      sections[name] = section;
    }
    const [, key, value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (key !== undefined) section[key] = value;
  }
  return sections;
}

function variables(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(/(\w+)=(\S+)/g)].map(([, name = '', value = '']) => [name, value]),
  );
}

async function writeConfig(t: Test): Promise<string> {
  const directory = await makeDirectory(t, 'socket');
  const file = join(directory, 'hubcap.yaml');
  await writeFile(file, 'admin: 127.0.0.1:0\nstorage: { directory: ./data, minFree: 0B }\n');
  return file;
}
