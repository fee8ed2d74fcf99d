/** Owns one chart: drawn by uPlot, in the colours of the style sheet, as wide as there is room. */
import uPlot from 'uplot';
import { type ChartSpec, columnsOf, type Series } from './chart-specs.ts';
import { h, show } from './dom.ts';
import { MINUTE_MS, type Minute } from './hour.ts';
import { formatMinute } from './words.ts';

const HEIGHT = 150;

export class Chart {
  readonly #spec: ChartSpec;
  readonly #figure: HTMLElement;
  readonly #canvas: HTMLElement;
  #minutes: readonly Minute[] = [];
  #plot: uPlot | undefined;
  /** the minute that is pointed at */
  #at: number | undefined;

  constructor(spec: ChartSpec, figure: HTMLElement) {
    this.#spec = spec;
    this.#figure = figure;
    this.#canvas = h('div', { class: 'plot', role: 'img' });
    figure.append(h('figcaption'), this.#canvas);
    new ResizeObserver(() => this.#plot?.setSize(this.#size())).observe(this.#canvas);
  }

  show(minutes: readonly Minute[]): void {
    this.#minutes = minutes;
    if (this.#plot) this.#plot.setData(this.#columns());
    else this.redraw();
    this.#caption();
    this.#canvas.setAttribute(
      'aria-label',
      `${this.#spec.title} in the last hour: ${this.#spec.summary(minutes)}`,
    );
  }

  /** Draws it anew: the colours have changed. */
  redraw(): void {
    if (this.#minutes.length === 0) return;
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(), this.#columns(), this.#canvas);
  }

  #size(): { width: number; height: number } {
    return { width: Math.max(120, this.#canvas.clientWidth), height: HEIGHT };
  }

  /** Higher bars first: the lower ones cover what they stand for. */
  #columns(): uPlot.AlignedData {
    const times = this.#minutes.map(({ startMs }) => startMs / 1000);
    return [times, ...columnsOf(this.#spec, this.#minutes).toReversed()];
  }

  #options(): uPlot.Options {
    const style = getComputedStyle(this.#canvas);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const { series, steps, leastMax, format } = this.#spec;
    const axis = { stroke: colour('--muted'), font: '12px system-ui, sans-serif', ticks: { show: false } };
    const grid = { stroke: colour('--border'), width: 1 };
    return {
      ...this.#size(),
      padding: [8, 20, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      hooks: { setCursor: [({ cursor }) => this.#pointAt(cursor.idx ?? undefined, cursor.left ?? -1)] },
      scales: {
        x: { time: true, range: () => this.#range() },
        y: { range: (_plot, _min, max) => [0, Math.max(leastMax, (max ?? 0) * 1.05)] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          size: 24,
          space: 70,
          values: (_plot, splits) => splits.map((at) => formatMinute(at * 1000)),
        },
        {
          ...axis,
          grid,
          size: 70,
          space: 30,
          incrs: [...steps],
          values: (_plot, splits) => splits.map(format),
        },
      ],
      series: [{}, ...series.toReversed().map((one) => drawn(one, colour(one.colour)))],
    };
  }

  #range(): [number, number] {
    const first = this.#minutes[0]?.startMs ?? 0;
    return [first / 1000, (first + this.#minutes.length * MINUTE_MS) / 1000];
  }

  #pointAt(at: number | undefined, left: number): void {
    const next = left < 0 ? undefined : at;
    if (next === this.#at) return;
    this.#at = next;
    this.#caption();
  }

  /** What the colours mean; with figures where somebody points at a minute, and the whole hour elsewhere. */
  #caption(): void {
    const { title, series, format, summary } = this.#spec;
    const minute = this.#at === undefined ? undefined : this.#minutes[this.#at];
    const valueAt = (one: Series): string => {
      const value = minute && one.valueAt(this.#minutes, this.#at ?? 0);
      return value === undefined ? '' : ` ${format(value)}`;
    };
    show(
      this.#figure.querySelector('figcaption') ?? this.#figure,
      h('h3', {}, title),
      h('span', { class: 'muted' }, minute ? formatMinute(minute.startMs) : summary(this.#minutes)),
      h(
        'ul',
        { class: 'plain legend' },
        ...series.map((one) =>
          h(
            'li',
            {},
            h('span', { class: `swatch ${one.kind} ${one.colour.slice(2)}` }),
            `${one.label}${valueAt(one)}`,
          ),
        ),
      ),
    );
  }
}

function drawn({ kind, label }: Series, colour: string): uPlot.Series {
  const isBar = kind === 'bar';
  const common = { label, points: { show: false }, spanGaps: false };
  if (!isBar)
    return {
      ...common,
      stroke: colour,
      width: 2,
      paths: linear,
      points: { show: isAlone, size: 4, fill: colour, stroke: colour },
    };
  return { ...common, fill: colour, width: 0, paths: bars };
}

const bars = uPlot.paths.bars?.({ size: [0.8, 40], align: 1 }) ?? (() => null);
const linear = uPlot.paths.linear?.() ?? (() => null);

/** One minute alone makes no line. */
function isAlone(plot: uPlot, series: number): boolean {
  return (plot.data[series] ?? []).filter((value) => value !== null && value !== undefined).length === 1;
}
