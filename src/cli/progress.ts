/** Owns showing how far something is: a bar on a terminal, a line now and then elsewhere. */
import { performance } from 'node:perf_hooks';
import { Presets, SingleBar } from 'cli-progress';
import { formatBytes } from '../units.ts';
import { formatLeft, formatRate } from './rate.ts';

export interface Progress {
  /** @param state `totalBytes` is undefined where the end is not known */
  update(state: { bytes: number; totalBytes: number | undefined }): void;
  /** Takes the bar off the line, for other text. */
  clear(): void;
  end(): void;
}

const LINE_INTERVAL_MS = 5_000;

export function openProgress(output: NodeJS.WriteStream): Progress {
  return output.isTTY ? openBar(output) : openLines(output);
}

function openBar(output: NodeJS.WriteStream): Progress {
  const startedMs = performance.now();
  const format = '{bar} {share}  {done}{all}  {rate}  {left}';
  const options = {
    stream: output,
    format,
    hideCursor: true,
    clearOnComplete: true,
    forceRedraw: true,
    gracefulExit: false, // a handler of its own would keep Ctrl-C from ending the command
    emptyOnZero: true,
  };
  const bar = new SingleBar({ ...options, formatValue: (value) => String(value) }, Presets.shades_classic);
  let isStarted = false;
  return {
    update: ({ bytes, totalBytes }) => {
      const shown = describe(bytes, totalBytes, performance.now() - startedMs);
      const done = totalBytes === undefined ? 0 : bytes;
      const all = Math.max(totalBytes ?? 0, done, 1);
      if (!isStarted) bar.start(all, done, shown);
      isStarted = true;
      bar.setTotal(all);
      bar.update(done, shown);
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
      output.write(`${done}${all}, ${rate}${left === '' ? '' : `, ${left}`}\n`);
    },
    clear: () => undefined,
    end: () => undefined,
  };
}

function describe(bytes: number, totalBytes: number | undefined, elapsedMs: number) {
  const isKnown = totalBytes !== undefined;
  return {
    share: isKnown ? `${Math.floor((100 * bytes) / Math.max(totalBytes, bytes, 1))}%` : '',
    done: formatBytes(bytes),
    all: isKnown ? ` of ${formatBytes(totalBytes)}` : '',
    rate: formatRate(bytes, elapsedMs),
    left: isKnown ? formatLeft(totalBytes - bytes, bytes, elapsedMs) : '',
  };
}
