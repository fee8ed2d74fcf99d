/** Owns showing a prewarm while it runs: bars on a terminal, lines elsewhere. */
import { performance } from 'node:perf_hooks';
import { MultiBar, Presets, type SingleBar } from 'cli-progress';
import type { PrewarmEvent, PrewarmProgress } from '../airgap/commands.ts';
import { formatBytes } from '../units.ts';
import { clockTime, tell, tellProgress } from './prewarm-words.ts';

export interface PrewarmDisplay {
  show(event: PrewarmEvent): void;
  /** Takes what moves off the terminal; what was told stays. */
  end(): void;
}

/** Bars move up over themselves: there must be room for all of them, and for what is told above. */
const OTHER_ROWS = 4;

/** @param images how many can run at a time */
export function openPrewarmDisplay(output: NodeJS.WriteStream, images: number): PrewarmDisplay {
  // Serial lines and terminals that a program plays may have no size: bars would stand on top of each other.
  const hasRoom = output.isTTY && output.rows > OTHER_ROWS && output.columns > 0;
  return hasRoom ? new Bars(output, images) : openLines(output);
}

const LINE_INTERVAL_MS = 10_000;

function openLines(output: NodeJS.WriteStream): PrewarmDisplay {
  const startedMs = performance.now();
  let saidMs = startedMs;
  return {
    show: (event) => {
      if (event.kind === 'report') return;
      if (event.kind !== 'progress') {
        output.write(`${tell(event)}\n`);
        return;
      }
      const nowMs = performance.now();
      if (nowMs - saidMs < LINE_INTERVAL_MS) return;
      saidMs = nowMs;
      output.write(`${tellProgress(event, nowMs - startedMs)}\n`);
    },
    end: () => undefined,
  };
}

const NAME_COLUMNS = 44;
const BAR_COLUMNS = 20;

/** A line for each image that can run, and one for all; what becomes of an image is told above. */
class Bars implements PrewarmDisplay {
  readonly #output: NodeJS.WriteStream;
  readonly #bars: MultiBar;
  readonly #slots: SingleBar[];
  readonly #all: SingleBar;
  readonly #startedMs = performance.now();
  /** of images that a limit holds up: until when, ISO 8601 */
  readonly #waiting = new Map<string, string>();

  constructor(output: NodeJS.WriteStream, images: number) {
    this.#output = output;
    const options = {
      stream: output,
      hideCursor: true,
      clearOnComplete: true,
      gracefulExit: false,
      emptyOnZero: true,
      barsize: BAR_COLUMNS,
      format: '{bar} {text}',
    };
    this.#bars = new MultiBar(options, Presets.shades_classic);
    const rows = Math.min(images, output.rows - OTHER_ROWS);
    this.#slots = Array.from({ length: rows }, () =>
      this.#bars.create(1, 0, { text: '' }, { format: '{text}' }),
    );
    this.#all = this.#bars.create(1, 0, { text: 'asking for manifests' });
  }

  show(event: PrewarmEvent): void {
    if (event.kind === 'report') return;
    if (event.kind === 'progress') {
      this.#move(event);
      return;
    }
    if (event.kind === 'waiting') this.#waiting.set(event.reference, event.until);
    if (event.kind === 'image' || event.kind === 'failure') this.#waiting.delete(event.reference);
    this.#bars.log(linesOf(tell(event), this.#output.columns));
  }

  end(): void {
    this.#bars.update(); // what was told and is not shown yet
    this.#bars.stop();
  }

  #move(progress: PrewarmProgress): void {
    const { running, bytes, totalBytes } = progress;
    for (const [position, slot] of this.#slots.entries()) slot.update({ text: lineOf(running[position]) });
    const text = [tellProgress(progress, performance.now() - this.#startedMs), this.#tellWaiting()];
    this.#all.setTotal(Math.max(totalBytes, 1));
    this.#all.update(bytes, { text: text.filter((one) => one !== '').join(', ') });
  }

  /** The first end of what is waited for. */
  #tellWaiting(): string {
    const now = new Date().toISOString();
    const [first] = [...this.#waiting.values()].filter((until) => until > now).sort();
    return first === undefined ? '' : `rate limit: waiting until ${clockTime(first)}`;
  }
}

const CLEAR_TO_END = '\x1b[K';

/** Where bars are, a line that is too long is cut, and what stood there before shows behind a short one. */
function linesOf(text: string, columns: number): string {
  const lines = text.match(new RegExp(`.{1,${columns}}`, 'gu')) ?? [];
  return lines.map((line) => `${line}${CLEAR_TO_END}\n`).join('');
}

/** The name stands first and may be long: of it, the end tells more. */
function lineOf(image: PrewarmProgress['running'][number] | undefined): string {
  if (!image) return '';
  const { reference, bytes, totalBytes } = image;
  const name = reference.length > NAME_COLUMNS ? `…${reference.slice(1 - NAME_COLUMNS)}` : reference;
  const done = totalBytes > 0 ? Math.round((BAR_COLUMNS * Math.min(bytes, totalBytes)) / totalBytes) : 0;
  const bar = '█'.repeat(done) + '░'.repeat(BAR_COLUMNS - done);
  return `${bar} ${name.padEnd(NAME_COLUMNS)} ${formatBytes(bytes)} of ${formatBytes(totalBytes)}`;
}
