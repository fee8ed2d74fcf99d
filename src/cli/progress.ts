/** Owns showing how far something is: a bar on a terminal, a line now and then elsewhere. */
import { performance } from 'node:perf_hooks';
import { Presets, SingleBar } from 'cli-progress';
import { formatBytes, formatDuration } from '../units.ts';

export interface Progress {
  update(state: { bytes: number; totalBytes: number }): void;
  /** Takes the bar off the line, for other text. */
  clear(): void;
  end(): void;
}

const LINE_INTERVAL_MS = 5_000;
const SECOND = 1_000;

export function openProgress(output: NodeJS.WriteStream): Progress {
  return output.isTTY ? openBar(output) : openLines(output);
}

function openBar(output: NodeJS.WriteStream): Progress {
  const startedMs = performance.now();
  const format = '{bar} {percentage}%  {done} of {all}  {rate}/s  {left}';
  const options = { stream: output, format, hideCursor: true, clearOnComplete: true, forceRedraw: true };
  const bar = new SingleBar({ ...options, formatValue: (value) => String(value) }, Presets.shades_classic);
  let isStarted = false;
  return {
    update: ({ bytes, totalBytes }) => {
      const shown = describe(bytes, totalBytes, performance.now() - startedMs);
      if (!isStarted) bar.start(totalBytes, bytes, shown);
      isStarted = true;
      bar.setTotal(Math.max(totalBytes, bytes, 1));
      bar.update(bytes, shown);
    },
    clear: () => {
      if (isStarted) output.write('\r\x1b[K');
    },
    end: () => bar.stop(),
  };
}

function openLines(output: NodeJS.WriteStream): Progress {
  const startedMs = performance.now();
  let saidMs = startedMs;
  return {
    update: ({ bytes, totalBytes }) => {
      const nowMs = performance.now();
      if (nowMs - saidMs < LINE_INTERVAL_MS) return;
      saidMs = nowMs;
      const { done, all, rate, left } = describe(bytes, totalBytes, nowMs - startedMs);
      output.write(`${done} of ${all}, ${rate}/s, ${left}\n`);
    },
    clear: () => undefined,
    end: () => undefined,
  };
}

function describe(bytes: number, totalBytes: number, elapsedMs: number) {
  const rate = elapsedMs > 0 ? (bytes * SECOND) / elapsedMs : 0;
  const restMs = rate > 0 ? Math.max(0, Math.ceil((totalBytes - bytes) / rate)) * SECOND : undefined;
  return {
    done: formatBytes(bytes),
    all: formatBytes(totalBytes),
    rate: formatBytes(Math.round(rate)),
    left: restMs === undefined ? '' : `${formatDuration(restMs)} left`,
  };
}
