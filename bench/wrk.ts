/** Owns load: `wrk` with a fixed number of connections, each asking again as soon as it is answered. */
import { runClient } from './processes.ts';

export interface Load {
  url: string;
  seconds: number;
  connections: number;
  headers: Readonly<Record<string, string>>;
}

export interface LoadResult {
  requests: number;
  requestsPerSecond: number;
  p99Ms: number;
}

/** One thread of wrk keeps one core busy at most. @throws where any answer was an error */
export async function runWrk({ url, seconds, connections, headers }: Load): Promise<LoadResult> {
  const output = await runClient('wrk', [
    ...['--threads', '1', '--connections', String(connections), '--duration', `${seconds}s`, '--latency'],
    ...Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`]),
    url,
  ]);
  const trouble = /Non-2xx.*|Socket errors.*/.exec(output);
  const requests = /(\d+) requests in/.exec(output)?.[1];
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(output)?.[1];
  if (trouble || requests === undefined || rate === undefined) {
    throw new Error('wrk found errors', { cause: output });
  }
  return { requests: Number(requests), requestsPerSecond: Number(rate), p99Ms: readLatency(output) };
}

function readLatency(output: string): number {
  const [, value, unit] = /99%\s+([\d.]+)(us|ms|s)/.exec(output) ?? [];
  const scale = { us: 0.001, ms: 1, s: 1000 }[unit ?? ''];
  return Number(value) * (scale ?? Number.NaN);
}
