/** Owns Debian's `docker-registry` as an upstream that wants tokens and tells what it sent. */

import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { request } from 'undici';
import { parsePrometheus } from './metrics-page.ts';
import { makeDirectory } from './needs.ts';
import { type Program, startProgram } from './program.ts';
import type { TokenServer } from './token-server.ts';
import { parseAccessLog, Traffic } from './traffic.ts';

export interface Registry {
  url: string;
  /** All that it has sent so far. */
  traffic(): Promise<Traffic>;
  /** Ends it. `traffic` still tells what it has sent. */
  stop(): Promise<void>;
}

/** The account of a registry that `startRegistryWithLogin` has started. */
export const keeper = { username: 'keeper', password: 'upstream pass phrase' } as const;
/** Its line in the password file: bcrypt, the only hash that the registry takes. */
const keeperLine = 'keeper:$2b$05$abcdefghijklmnopqrstuu01VtiQWu4KtNVvz7LM2gWNavuv2WiCW\n';

/** Starts a registry with an empty store, on a free port, behind a token server. */
export async function startRegistry(t: Test, tokens: TokenServer): Promise<Registry> {
  const { realm, service, issuer, certificateFile } = tokens;
  return await startWithAuth(t, () => ({
    token: { realm, service, issuer, rootcertbundle: certificateFile },
  }));
}

/** The same, with Basic authentication for everything. */
export async function startRegistryWithLogin(t: Test): Promise<Registry> {
  return await startWithAuth(t, async (directory) => {
    const path = join(directory, 'htpasswd');
    await writeFile(path, keeperLine);
    return { htpasswd: { realm: 'upstream', path } };
  });
}

async function startWithAuth(
  t: Test,
  authIn: (directory: string) => object | Promise<object>,
): Promise<Registry> {
  const directory = await makeDirectory(t, 'registry');
  const storage = join(directory, 'storage');
  await mkdir(storage);
  const debugAddress = await findQuietAddress();
  const configuration = join(directory, 'config.yml');
  await writeFile(configuration, JSON.stringify(describe(storage, debugAddress, await authIn(directory))));
  const program = startProgram(t, 'docker-registry', ['serve', configuration], { env: { HOME: directory } });
  const [, url] = await program.line(/"listening on (127\.0\.0\.1:\d+)"/);
  return {
    url: `http://${url}`,
    traffic: () => readTraffic(program, `http://${debugAddress}/metrics`),
    async stop() {
      await program.stop();
      await program.closed;
    },
  };
}

/** JSON is YAML. */
function describe(rootdirectory: string, debugAddress: string, auth: object): object {
  return {
    version: '0.1',
    log: { level: 'info', formatter: 'json' },
    storage: { filesystem: { rootdirectory } },
    http: {
      addr: '127.0.0.1:0',
      debug: { addr: debugAddress, prometheus: { enabled: true, path: '/metrics' } },
      secret: 'not a secret',
    },
    auth,
  };
}

/**
 * The registry logs a response just after its client has it. Its metrics count it before that: when nothing is
 * in flight and the log has as many lines as the metrics have requests, twice in a row, the log is complete.
 */
async function readTraffic(program: Program, metricsUrl: string): Promise<Traffic> {
  for (let agreed = 0; program.isRunning && agreed < 2; ) {
    const { body } = await request(metricsUrl);
    const metrics = parsePrometheus(await body.text());
    const isQuiet = metrics.sum('registry_http_in_flight_requests') === 0;
    const isLogged = exchangesOf(program).length >= metrics.sum('registry_http_requests_total');
    agreed = isQuiet && isLogged ? agreed + 1 : 0;
    if (agreed === 0) await delay(5);
  }
  return new Traffic(exchangesOf(program));
}

function exchangesOf(program: Program) {
  return program.lines.map(parseAccessLog).filter((exchange) => exchange !== undefined);
}

/**
 * A free address for a program that does not tell which port it got, as the debug listener here. On a loopback address of
 * our own no connection's local port can take it before the program does.
 */
export async function findQuietAddress(): Promise<string> {
  const host = `127.77.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}`;
  const server = createServer().listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port', { cause: address });
  return `${host}:${address.port}`;
}
