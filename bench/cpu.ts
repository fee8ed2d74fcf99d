/** Owns what the kernel says of a process: processor time and memory. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** Kernels for user space count in hundredths of a second, whatever their own tick (proc(5), CLK_TCK). */
const TICKS_PER_SECOND = 100;

/** @returns the seconds of processor time, user and system, that all threads of a process have used */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The command in brackets may hold spaces: what follows it starts with field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** @returns what a process has in memory now, and the most that it ever had, in bytes */
export async function memoryOf(pid: number): Promise<{ rssBytes: number; peakBytes: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const read = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
  return { rssBytes: read('VmRSS'), peakBytes: read('VmHWM') };
}

const LOOK_MS = 500;
const QUIET_LOOKS = 2;
/** One tick of the kernel's clock: a timer that fires, a collection of garbage. */
const QUIET_SECONDS = 0.01;

/**
 * Waits until a server has had nothing to do for a second: what it does behind its clients' backs has ended.
 * @throws where that does not come about
 */
export async function waitUntilIdle(pid: number, deadlineMs = 30_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  let before = await cpuSeconds(pid);
  for (let quiet = 0; quiet < QUIET_LOOKS; ) {
    if (performance.now() > deadline) throw new Error('a server does not come to rest');
    await delay(LOOK_MS);
    const after = await cpuSeconds(pid);
    // Ticks are summed in binary fractions: half a tick more keeps one tick one tick.
    quiet = after - before < 1.5 * QUIET_SECONDS ? quiet + 1 : 0;
    before = after;
  }
}

/** Runs something and tells the seconds that it took and the processor time that a server spent meanwhile. */
export async function timed<T>(
  pid: number,
  work: () => Promise<T>,
): Promise<{ result: T; seconds: number; cpu: number }> {
  const cpuBefore = await cpuSeconds(pid);
  const startedAt = performance.now();
  const result = await work();
  const seconds = (performance.now() - startedAt) / 1000;
  return { result, seconds, cpu: (await cpuSeconds(pid)) - cpuBefore };
}
