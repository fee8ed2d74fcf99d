import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  addressUrl,
  drain,
  inheritedSockets,
  listenOn,
  listenOnSocket,
  StartError,
} from '../src/listeners.ts';

const local = { host: '127.0.0.1', port: 0 };

function makeServer(
  t: Test,
  respond: Parameters<typeof createServer>[1] = (_, response) => response.end('ok'),
): Server {
  const server = createServer(respond);
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return server;
}

t.test('a port that is taken: who usually has it, and what to do', async (t) => {
  const first = makeServer(t);
  await listenOn(first, local, 'listen');
  const { port } = first.address() as AddressInfo;
  await t.rejects(listenOn(makeServer(t), { host: '127.0.0.1', port }, 'listen'), StartError);
  await t.rejects(listenOn(makeServer(t), { host: '127.0.0.1', port }, 'admin'), {
    message: new RegExp(`127\\.0\\.0\\.1:${port} is taken.*--admin HOST:PORT`),
  });
});

t.test('an address that this machine does not have', async (t) => {
  await t.rejects(listenOn(makeServer(t), { host: '192.0.2.1', port: 0 }, 'listen'), {
    message: /no such address/,
  });
});

t.test('the sockets that systemd passes: one for each listener, told apart by their names', async (t) => {
  const passed = (LISTEN_FDS: string, LISTEN_FDNAMES?: string) =>
    inheritedSockets({ LISTEN_PID: '7', LISTEN_FDS, ...(LISTEN_FDNAMES && { LISTEN_FDNAMES }) }, 7);
  t.same(inheritedSockets({}, 7), {});
  t.same(inheritedSockets({ LISTEN_PID: '8', LISTEN_FDS: '1' }, 7), {}, 'meant for another process');
  t.same(passed('1'), { listen: 3 });
  t.same(passed('1', 'hubcap.socket'), { listen: 3 }, 'the name that systemd gives');
  t.same(passed('2', 'admin:listen'), { admin: 3, listen: 4 });
  t.throws(() => passed('2', 'hubcap.socket:hubcap.socket'), { message: /more than one socket for listen/ });
  t.throws(() => passed('2'), StartError);
});

t.test('what is passed and no socket that listens is refused', async (t) => {
  const file = openSync(join(t.testdir({ file: '' }), 'file'), 'r');
  t.teardown(() => closeSync(file));
  await t.rejects(listenOn(makeServer(t), local, 'listen', file), {
    name: 'StartError',
    message: /the socket that is passed for listen cannot be used/,
  });
});

t.test('the URL of a listener', async (t) => {
  const server = makeServer(t);
  t.equal(addressUrl(server), undefined, 'not before it listens');
  await listenOn(server, { host: '0.0.0.0', port: 0 }, 'listen');
  t.equal(addressUrl(server), `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const all = makeServer(t);
  await listenOn(all, { host: '', port: 0 }, 'listen');
  t.match(addressUrl(all), /^http:\/\/127\.0\.0\.1:\d+$/);
});

t.test('draining lets what runs finish, and nothing start', async (t) => {
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const server = makeServer(t, async (_, response) => {
    asked.resolve();
    await gate.promise;
    response.end('whole');
  });
  await listenOn(server, local, 'listen');
  const answer = fetch(addressUrl(server) ?? '').then((response) => response.text());
  await asked.promise;
  const drained = drain(server, new AbortController().signal);
  t.equal(server.listening, false);
  gate.resolve();
  t.equal(await answer, 'whole');
  await drained;
  await drain(server, new AbortController().signal); // again: at once
});

t.test('draining ends with its deadline', async (t) => {
  const asked = Promise.withResolvers<void>();
  const server = makeServer(t, () => asked.resolve());
  await listenOn(server, local, 'listen');
  const broken = new Promise((resolve) => get(addressUrl(server) ?? '').on('error', resolve));
  await asked.promise;
  const deadline = new AbortController();
  const drained = drain(server, deadline.signal);
  deadline.abort();
  await drained;
  t.match(await broken, { code: 'ECONNRESET' });
});

t.test('the control socket is for its owner alone, and goes with the daemon', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'hubcap-')); // a socket's path must be short
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'control.sock');
  const killed = spawn(process.execPath, [
    '-e',
    `require('net').createServer().listen('${path}', () => process.kill(process.pid, 9))`,
  ]);
  await once(killed, 'exit');
  t.ok(existsSync(path), 'a daemon that was killed left one');
  const server = makeServer(t);
  await listenOnSocket(server, directory, undefined);
  t.ok(statSync(path).isSocket());
  t.equal(statSync(path).mode & 0o777, 0o600);
  await drain(server, AbortSignal.abort());
  t.notOk(existsSync(path));
});

t.test('a socket that cannot be made says what to do', async (t) => {
  const path = join(t.testdir({ file: '' }), 'file', 'control.sock');
  await t.rejects(listenOnSocket(makeServer(t), t.testdirName, path), { message: /--control PATH/ });
});
