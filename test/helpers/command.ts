/** Owns running the command line as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { buffer, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

/** `HUBCAP_MAIN=dist/main.js` tests what is published. */
const MAIN = process.env.HUBCAP_MAIN ?? fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/** What the sources compile to is the same for all processes of a run. */
const { NODE_COMPILE_CACHE } = process.env;
const COMPILE_CACHE = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE };
/** Free ports, and lines that can be read. */
export const LISTENERS = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--log-format', 'json'];

/** Runs a command to its end, without the environment of who runs the tests. */
export async function run(...args: string[]) {
  return await runWith({}, ...args);
}

/** As `run`, with variables of the environment, and what is on standard input. */
export async function runWith(
  { env, input }: { env?: Record<string, string>; input?: Buffer },
  ...args: string[]
) {
  const { code, stdout, stderr } = await runForBytes({ env, input }, ...args);
  return { code, stdout: stdout.toString(), stderr };
}

/** As `runWith`, where standard output is no text. */
export async function runForBytes(
  { env, input }: { env?: Record<string, string> | undefined; input?: Buffer | undefined },
  ...args: string[]
) {
  const { child, stderr } = start(args, env);
  child.stdin.on('error', () => undefined); // who has seen enough reads no further
  child.stdin.end(input);
  const [stdout, [code]] = await Promise.all([buffer(child.stdout), once(child, 'exit')]);
  return { code, stdout, stderr: await stderr };
}

/** A command that is to be interrupted. */
export function launch(t: Test, ...args: string[]) {
  const { child, stderr } = start(args);
  child.stdin.end();
  const ended = Promise.all([text(child.stdout), stderr, once(child, 'exit')]).then(
    ([stdout, said, [code, signal]]) => ({ code, signal, stdout, stderr: said }),
  );
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { child, ended };
}

function start(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', ...COMPILE_CACHE, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  return { child, stderr: text(child.stderr) };
}

/** A `hubcap serve` that may not be ready yet. */
export interface Serving {
  child: ChildProcess;
  /** what it says when it is ready; rejects where it ends before */
  ready: Promise<Record<string, string>>;
  exited: Promise<unknown>;
  /** all that it has printed */
  output(): string;
}

/** Starts `hubcap serve` without waiting for it. */
export function begin(t: Test, args: string[], env: Record<string, string> = {}): Serving {
  const { child, stderr } = start(['serve', ...LISTENERS, ...args], env);
  child.stdin.end();
  const exited = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let output = '';
  const ready = new Promise<Record<string, string>>((resolve, reject) => {
    let isReady = false;
    child.stdout.on('data', (chunk) => {
      output += chunk;
      const line = isReady ? undefined : output.split('\n').find((one) => one.includes('"msg":"ready"'));
      if (!line?.endsWith('}')) return;
      isReady = true;
      resolve(JSON.parse(line));
    });
    child.once('exit', () => stderr.then((said) => reject(new Error(`it ended: ${said}`))));
  });
  ready.catch(() => undefined); // whoever waits for it sees it
  return { child, ready, exited, output: () => output };
}

/** Starts `hubcap serve`, and resolves with what it says when it is ready. */
export async function serve(t: Test, args: string[], env: Record<string, string> = {}) {
  const serving = begin(t, args, env);
  return { ...serving, ready: await serving.ready };
}
