/** Owns the servers that are measured, as child processes whose output goes to a file as in a deployment. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { cleanEnvironment, findProgram } from '../test/helpers/engines/needs.ts';
import type { Teardown } from './teardown.ts';

export interface ServerOptions {
  command: string;
  args: readonly string[];
  /** gets all that it prints */
  logFile: string;
  home: string;
  /** beside what every child gets */
  env?: Readonly<Record<string, string>>;
}

/** How long a server has to end after SIGTERM before it is killed. */
const STOP_DEADLINE_MS = 15_000;
const POLL_MS = 10;

/** Starts a server that ends with `teardown` at the latest. */
export async function startServer(teardown: Teardown, options: ServerOptions): Promise<Server> {
  const log = await open(options.logFile, 'a');
  const [command, args] = tether(options.command, options.args);
  const env = { ...cleanEnvironment, HOME: options.home, ...options.env };
  const spawnedAt = performance.now();
  const child = spawn(command, args, { env, stdio: ['ignore', log.fd, log.fd] });
  await log.close();
  const server = new Server(options, child, spawnedAt);
  teardown.add(() => server.stop());
  return server;
}

export class Server {
  readonly pid: number;
  /** on the clock of `performance.now()` */
  readonly spawnedAt: number;
  readonly #options: ServerOptions;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor(options: ServerOptions, child: ChildProcess, spawnedAt: number) {
    if (child.pid === undefined) throw new Error(`${options.command} cannot be started`);
    this.pid = child.pid;
    this.spawnedAt = spawnedAt;
    this.#options = options;
    this.#child = child;
    this.#exited = once(child, 'exit');
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** What it prints at its start, by a pattern. @throws where it ends before, or says nothing within `deadlineMs` */
  async said(pattern: RegExp, deadlineMs = 20_000): Promise<RegExpExecArray> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const text = await readFile(this.#options.logFile, 'utf8');
      const match = pattern.exec(text);
      if (match) return match;
      if (!this.isRunning || performance.now() > deadline) {
        throw new Error(`${this.#options.command} did not say ${pattern}`, { cause: text.slice(-4000) });
      }
      await delay(POLL_MS);
    }
  }

  /** SIGKILL, without a warning. Settles when the process is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** SIGTERM, and SIGKILL for who does not listen. Settles when the process is gone. */
  async stop(): Promise<void> {
    if (!this.isRunning) return;
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_DEADLINE_MS);
    await this.#exited;
    clearTimeout(timer);
  }
}

/** Runs a client to its end. @returns what it printed @throws where it fails */
export async function runClient(command: string, args: readonly string[]): Promise<string> {
  const [path, tethered] = tether(command, args);
  const child = spawn(path, tethered, { env: cleanEnvironment, stdio: ['ignore', 'pipe', 'pipe'] });
  const printed: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => printed.push(text));
  }
  await once(child, 'close');
  const output = printed.join('');
  if (child.exitCode !== 0) throw new Error(`${command} failed`, { cause: output.slice(-4000) });
  return output;
}

/** A port for a server that can't tell which one it got. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port', { cause: address });
  return address.port;
}

/** Has the kernel end the child where this process is killed; the process id stays the program's. */
function tether(command: string, args: readonly string[]): [string, string[]] {
  const path = findProgram(command) ?? command;
  const setpriv = findProgram('setpriv');
  if (setpriv === undefined) return [path, [...args]];
  return [setpriv, ['--pdeathsig', 'TERM', '--', path, ...args]];
}
