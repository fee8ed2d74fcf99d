/** Owns looking at a running hubcap once a second: memory, descriptors, event loop, downloads. */
import { readdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { Status } from '../src/admin/status.ts';
import { memoryOf } from './cpu.ts';

export interface Sample {
  rssBytes: number;
  heapBytes: number;
  descriptors: number;
  /** since the last sample; the 99th percentile and the worst */
  lagP99Ms: number;
  lagMaxMs: number;
  fills: number;
  storeBytes: number;
  reservedBytes: number;
}

const INTERVAL_MS = 1000;

export async function sample(pid: number, adminUrl: string): Promise<Sample> {
  const [{ rssBytes }, descriptors, status, page] = await Promise.all([
    memoryOf(pid),
    readdir(`/proc/${pid}/fd`),
    // Bytes stored and reserved as of one moment: a scrape reads its gauges one after the other.
    fetch(`${adminUrl}/api/status`).then((response) => response.json() as Promise<Status>),
    fetch(`${adminUrl}/metrics`).then((response) => response.text()),
  ]);
  const read = (name: string): number => Number(new RegExp(`^${name} (.+)$`, 'm').exec(page)?.[1]);
  return {
    rssBytes,
    heapBytes: read('nodejs_heap_size_used_bytes'),
    descriptors: descriptors.length,
    lagP99Ms: 1000 * read('nodejs_eventloop_lag_p99_seconds'),
    lagMaxMs: 1000 * read('nodejs_eventloop_lag_max_seconds'),
    fills: read('hubcap_fills_in_flight'),
    storeBytes: status.store.bytes,
    reservedBytes: status.store.reservedBytes,
  };
}

/** @returns one sample per second */
export async function sampleFor(pid: number, adminUrl: string, seconds: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startedAt = performance.now();
  while (samples.length < seconds) {
    samples.push(await sample(pid, adminUrl));
    await delay(Math.max(0, startedAt + samples.length * INTERVAL_MS - performance.now()));
  }
  return samples;
}
