/** Owns running the command line as a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
/** Free ports, and lines that can be read. */
export const LISTENERS = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--log-format', 'json'];

/** Runs a command to its end, without the environment of who runs the tests. */
export async function run(...args: string[]) {
  const { child, stderr } = start(args);
  const [stdout, [code]] = await Promise.all([text(child.stdout), once(child, 'exit')]);
  return { code, stdout, stderr: await stderr };
}

function start(args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return { child, stderr: text(child.stderr) };
}

/** Starts `hubcap serve`, and resolves with what it says when it is ready. */
export async function serve(t: Test, args: string[], env: Record<string, string> = {}) {
  const { child, stderr } = start(['serve', ...LISTENERS, ...args], env);
  const exited = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let output = '';
  const ready = await new Promise<Record<string, string>>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      output += chunk;
      const line = output.split('\n').find((one) => one.includes('"msg":"ready"'));
      if (line) resolve(JSON.parse(line));
    });
    child.once('exit', () => stderr.then((said) => reject(new Error(`it ended: ${said}`))));
  });
  return { child, ready, exited, output: () => output };
}
