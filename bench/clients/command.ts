/** Owns running hubcap's own commands as a person does, and what they took. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cleanEnvironment } from '../../test/helpers/engines/needs.ts';
import { memoryOf } from '../cpu.ts';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const LOOK_MS = 50;

export interface CommandRun {
  stdout: string;
  seconds: number;
  peakBytes: number;
}

/** @throws where it ends with anything but 0 */
export async function runHubcap(args: readonly string[]): Promise<CommandRun> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [main, ...args], {
    env: cleanEnvironment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  const printed = Promise.all([text(child.stdout), text(child.stderr)]);
  let peakBytes = 0;
  while (child.exitCode === null && child.signalCode === null) {
    const seen = await memoryOf(child.pid ?? 0).catch(() => undefined); // it may be gone by now
    if (seen && seen.peakBytes > peakBytes) peakBytes = seen.peakBytes;
    await Promise.race([exited, delay(LOOK_MS)]);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const [stdout, stderr] = await printed;
  if (child.exitCode !== 0) throw new Error(`hubcap ${args[0]} failed`, { cause: stderr.slice(-4000) });
  return { stdout, seconds, peakBytes };
}
