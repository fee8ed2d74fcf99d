/** Owns child processes: what they print, how they end, and that none outlives the test that started it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Test } from 'tap';
import { cleanEnvironment, findProgram } from './needs.ts';

export interface ProgramOptions {
  /** Added to an environment that holds nothing but a path. */
  env?: Readonly<Record<string, string>>;
  cwd?: string;
}

/** What a program that ran to its end left behind. */
export interface Finished {
  /** The exit code; undefined when a signal ended it. */
  code: number | undefined;
  stdout: string;
  stderr: string;
}

/** How long a program has to end after SIGTERM before it is killed. */
const stopDeadlineMs = 15_000;

/** Starts a program; it is stopped at the end of the test, however that ends. */
export function startProgram(
  t: Test,
  name: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Program {
  const program = new Program(name, spawnTethered(name, args, options));
  t.teardown(() => program.stop());
  return program;
}

/** Runs a program to its end. Throws, with all it printed, when that takes longer than `deadlineMs`. */
export async function runProgram(
  t: Test,
  name: string,
  args: readonly string[],
  { deadlineMs = 120_000, ...options }: ProgramOptions & { deadlineMs?: number } = {},
): Promise<Finished> {
  const program = startProgram(t, name, args, options);
  const timer = setTimeout(() => program.kill('SIGKILL'), deadlineMs);
  await program.closed;
  clearTimeout(timer);
  const finished = { code: program.code, stdout: program.stdout, stderr: program.stderr };
  if (program.code === undefined) throw new Error(`${name} did not end`, { cause: { args, finished } });
  return finished;
}

interface Waiter {
  pattern: RegExp;
  resolve(match: RegExpExecArray): void;
  reject(cause: Error): void;
}

/** One running child process. Its output is kept by lines, in the order in which they came. */
export class Program {
  readonly lines: string[] = [];
  /** Settles when the process has ended and all that it printed has been read. */
  readonly closed: Promise<void>;
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #waiters = new Set<Waiter>();
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];

  constructor(name: string, child: ChildProcess) {
    this.#name = name;
    this.#child = child;
    this.#exited = once(child, 'exit');
    const ended = once(child, 'close');
    const read = [this.#read(child.stdout, this.#stdout), this.#read(child.stderr, this.#stderr)];
    this.closed = Promise.all([ended, ...read]).then(() => this.#abandonWaiters());
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString();
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString();
  }

  get code(): number | undefined {
    return this.#child.exitCode ?? undefined;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The first line, past or to come, that matches. Throws at the deadline, or when the program ends before. */
  async line(pattern: RegExp, deadlineMs = 30_000): Promise<RegExpExecArray> {
    for (const line of this.lines) {
      const match = pattern.exec(line);
      if (match !== null) return match;
    }
    if (!this.isRunning) throw this.#failure(`ended before it said ${pattern}`);
    const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
    const waiter = { pattern, resolve, reject };
    this.#waiters.add(waiter);
    const timer = setTimeout(() => reject(this.#failure(`did not say ${pattern}`)), deadlineMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL for who does not listen. Settles when the process is gone. */
  async stop(): Promise<void> {
    if (!this.isRunning) return;
    this.kill('SIGTERM');
    const timer = setTimeout(() => this.kill('SIGKILL'), stopDeadlineMs);
    await this.#exited;
    clearTimeout(timer);
  }

  async #read(stream: Readable | null, kept: Buffer[]): Promise<void> {
    if (stream === null) return;
    stream.on('data', (chunk: Buffer) => kept.push(chunk));
    for await (const line of createInterface({ input: stream })) {
      this.lines.push(line);
      for (const waiter of this.#waiters) {
        const match = waiter.pattern.exec(line);
        if (match !== null) waiter.resolve(match);
      }
    }
  }

  #abandonWaiters(): void {
    for (const { pattern, reject } of this.#waiters) reject(this.#failure(`ended before it said ${pattern}`));
  }

  #failure(what: string): Error {
    return new Error(`${this.#name} ${what}`, { cause: this.lines.slice(-40).join('\n') });
  }
}

/**
 * A test that is killed runs no teardown; `setpriv` (util-linux) has the kernel send SIGTERM to the child then.
 * It replaces itself by the program, so the process id is the program's.
 */
function spawnTethered(name: string, args: readonly string[], { env, cwd }: ProgramOptions): ChildProcess {
  const path = findProgram(name) ?? name;
  const setpriv = findProgram('setpriv');
  const [command, prefix] =
    setpriv === undefined ? [path, []] : [setpriv, ['--pdeathsig', 'TERM', '--', path]];
  return spawn(command, [...prefix, ...args], {
    cwd,
    env: { ...cleanEnvironment, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
