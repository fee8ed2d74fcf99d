/** Owns the time between two attempts, in tests that make thousands of them. */
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';

/** From now on, pauses (waits for nothing but time) of this process take a fraction of what they are told. */
export function hurryPauses(fraction: number): void {
  const original = timers.setTimeout;
  const hurried = (ms?: number, value?: unknown, options?: object): Promise<unknown> =>
    original(value === undefined && ms !== undefined ? ms * fraction : ms, value, options);
  Reflect.set(timers, 'setTimeout', hurried);
  syncBuiltinESMExports();
}
