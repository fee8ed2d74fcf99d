/** Owns waiting for servers that do not say when they listen. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Server } from '../processes.ts';

const POLL_MS = 20;

/** @throws where the server ends before it answers, or is silent for `deadlineMs` */
export async function waitUntilAnswered(server: Server, url: string, deadlineMs = 20_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    try {
      await (await fetch(url, { signal: AbortSignal.timeout(deadlineMs) })).arrayBuffer();
      return;
    } catch (error) {
      if (!server.isRunning || performance.now() > deadline) throw error;
      await delay(POLL_MS);
    }
  }
}
