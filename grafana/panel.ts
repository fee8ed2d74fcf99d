/** Owns how a panel is written for Grafana: types, units, thresholds, legends; and the labels that every query selects by. */

/** Of whatever hubcaps are chosen. */
export const CHOSEN = 'job=~"$job", instance=~"$instance"';
/** Of the upstreams that are chosen, too. */
export const OF_UPSTREAM = `${CHOSEN}, upstream=~"$upstream"`;

export type PanelType = 'timeseries' | 'stat' | 'gauge' | 'heatmap' | 'table' | 'state-timeline';

export interface Query {
  expr: string;
  /** how a series is called; `{{label}}` */
  legend: string;
  /** the last value alone */
  isInstant?: boolean;
}

/** From this value on, the colour. */
export type Step = readonly [from: number | null, color: string];

export interface Panel {
  type: PanelType;
  title: string;
  /** one sentence */
  description: string;
  /** Grafana's id of the unit */
  unit: string;
  queries: readonly Query[];
  width: number;
  height?: number;
  isStacked?: boolean;
  max?: number;
  steps?: readonly Step[];
  /** what 0 and 1 are called, the colours are red and green */
  words?: readonly [zero: string, one: string];
  /** parts of names of series that are drawn as dashed lines: limits */
  limits?: readonly string[];
}

export interface Row {
  title: string;
  panels: readonly Panel[];
}

export const DATA_SOURCE = { type: 'prometheus', uid: '$datasource' };
export const HEIGHT = 8;

/** @returns the panel as Grafana reads it, at its place */
export function toGrafana(panel: Panel, id: number, x: number, y: number): object {
  const { type, title, description, width, height = HEIGHT, queries } = panel;
  return {
    id,
    type,
    title,
    description,
    datasource: DATA_SOURCE,
    gridPos: { x, y, w: width, h: height },
    targets: queries.map((query, index) => toTarget(query, index, type)),
    fieldConfig: { defaults: defaultsOf(panel), overrides: overridesOf(panel) },
    options: optionsOf(panel),
    ...(type === 'table' && { transformations: TABLE }),
  };
}

function toTarget({ expr, legend, isInstant = false }: Query, index: number, type: PanelType): object {
  return {
    refId: String.fromCharCode(65 + index),
    datasource: DATA_SOURCE,
    editorMode: 'code',
    expr: expr.replace(/\s+/g, ' ').trim(),
    legendFormat: legend,
    range: !isInstant,
    instant: isInstant,
    format: type === 'heatmap' || type === 'table' ? type : 'time_series',
  };
}

function defaultsOf(panel: Panel): object {
  const { unit, steps = [[null, 'green']], max, words } = panel;
  return {
    unit,
    ...(panel.type !== 'table' && unit !== 's' && { min: 0 }),
    ...(max !== undefined && { max }),
    color: { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' },
    thresholds: { mode: 'absolute', steps: steps.map(([value, color]) => ({ value, color })) },
    mappings: words ? [mappingOf(words)] : [],
    custom: customOf(panel),
  };
}

function mappingOf([zero, one]: readonly [string, string]): object {
  const options = {
    0: { text: zero, color: 'red', index: 0 },
    1: { text: one, color: 'green', index: 1 },
  };
  return { type: 'value', options };
}

function customOf({ type, isStacked = false, steps }: Panel): object {
  if (type === 'state-timeline') return { fillOpacity: 70, lineWidth: 0 };
  if (type === 'heatmap') return { hideFrom: { legend: false, tooltip: false, viz: false } };
  if (type !== 'timeseries') return {};
  return {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    fillOpacity: isStacked ? 40 : 0,
    showPoints: 'auto',
    spanNulls: false,
    stacking: { mode: isStacked ? 'normal' : 'none', group: 'A' },
    thresholdsStyle: { mode: steps ? 'dashed' : 'off' },
  };
}

function overridesOf({ limits = [] }: Panel): object[] {
  return limits.map((part) => ({
    matcher: { id: 'byRegexp', options: `/${part}/` },
    properties: [
      { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 6] } },
      { id: 'custom.fillOpacity', value: 0 },
      { id: 'custom.stacking', value: { mode: 'none', group: 'A' } },
    ],
  }));
}

function optionsOf({ type, unit }: Panel): object {
  const reduceOptions = { calcs: ['lastNotNull'], fields: '', values: false };
  switch (type) {
    case 'timeseries':
      return {
        legend: {
          displayMode: 'table',
          placement: 'bottom',
          showLegend: true,
          calcs: ['mean', 'max', 'lastNotNull'],
        },
        tooltip: { mode: 'multi', sort: 'desc' },
      };
    case 'stat':
      return { reduceOptions, colorMode: 'value', graphMode: 'area', textMode: 'auto', justifyMode: 'auto' };
    case 'gauge':
      return { reduceOptions, showThresholdLabels: false, showThresholdMarkers: true };
    case 'state-timeline':
      return {
        legend: { displayMode: 'list', placement: 'bottom', showLegend: false },
        mergeValues: true,
        rowHeight: 0.8,
        showValue: 'auto',
        tooltip: { mode: 'single', sort: 'none' },
      };
    case 'heatmap':
      return {
        calculate: false,
        cellGap: 1,
        color: {
          mode: 'scheme',
          scheme: 'Oranges',
          steps: 64,
          exponent: 0.5,
          fill: 'dark-orange',
          reverse: false,
        },
        legend: { show: true },
        rowsFrame: { layout: 'auto' },
        tooltip: { mode: 'single', yHistogram: false, showColorScale: true },
        yAxis: { axisPlacement: 'left', unit, reverse: false },
      };
    case 'table':
      return {
        showHeader: true,
        cellHeight: 'sm',
        footer: { show: false, reducer: ['sum'], countRows: false },
      };
  }
}

/** One column for each label, without what Prometheus adds. */
const TABLE = [
  {
    id: 'organize',
    options: { excludeByName: { Time: true, __name__: true }, indexByName: {}, renameByName: {} },
  },
];
