/** Owns Grafana's dashboard for hubcap. `node grafana/write.ts` writes it to hubcap.json; a test holds that it is current. */
import { DATA_SOURCE, HEIGHT, type Row, toGrafana } from './panel.ts';
import { given, glance, refused } from './rows-clients.ts';
import { machine, prewarm, store } from './rows-machine.ts';
import { downloads, pulls, upstreams } from './rows-upstreams.ts';

export const ROWS: readonly Row[] = [
  glance,
  given,
  refused,
  upstreams,
  pulls,
  downloads,
  store,
  prewarm,
  machine,
];

/** @returns the whole file */
export function dashboardFile(): string {
  return `${JSON.stringify(makeDashboard(), undefined, 2)}\n`;
}

const COLUMNS = 24;

function makeDashboard(): object {
  return {
    uid: 'hubcap',
    title: 'hubcap',
    description:
      'Pull-through cache for container registries: what clients get, what upstreams are asked, what the store holds.',
    tags: ['hubcap', 'registry'],
    schemaVersion: 39,
    version: 1,
    editable: false,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    timezone: 'browser',
    weekStart: '',
    fiscalYearStartMonth: 0,
    liveNow: false,
    links: [],
    annotations: { list: [RESTARTS] },
    templating: { list: VARIABLES },
    panels: layOut(ROWS),
  };
}

/** From left to right, and below where there is no more room. */
function layOut(rows: readonly Row[]): object[] {
  const placed: object[] = [];
  let y = 0;
  for (const { title, panels } of rows) {
    const id = placed.length + 1;
    placed.push({
      id,
      type: 'row',
      title,
      collapsed: false,
      panels: [],
      gridPos: { x: 0, y, w: COLUMNS, h: 1 },
    });
    y += 1;
    let x = 0;
    let lineHeight = 0;
    for (const panel of panels) {
      if (x + panel.width > COLUMNS) {
        x = 0;
        y += lineHeight;
        lineHeight = 0;
      }
      placed.push(toGrafana(panel, placed.length + 1, x, y));
      x += panel.width;
      lineHeight = Math.max(lineHeight, panel.height ?? HEIGHT);
    }
    y += lineHeight;
  }
  return placed;
}

const RESTARTS = {
  name: 'Configurations',
  datasource: DATA_SOURCE,
  enable: true,
  iconColor: 'blue',
  expr: 'changes(hubcap_config_loaded_timestamp_seconds{job=~"$job", instance=~"$instance"}[2m]) > 0',
  titleFormat: 'hubcap was started or its configuration loaded',
  textFormat: '{{instance}}',
};

const VARIABLES = [
  {
    name: 'datasource',
    label: 'Data source',
    type: 'datasource',
    query: 'prometheus',
    refresh: 1,
    current: {},
    hide: 0,
    includeAll: false,
    multi: false,
    options: [],
    regex: '',
  },
  chooser('job', 'Job', 'label_values(hubcap_build_info, job)'),
  chooser('instance', 'Instance', 'label_values(hubcap_build_info{job=~"$job"}, instance)'),
  chooser(
    'upstream',
    'Upstream',
    'label_values(hubcap_upstream_up{job=~"$job", instance=~"$instance"}, upstream)',
  ),
];

function chooser(name: string, label: string, query: string): object {
  return {
    name,
    label,
    type: 'query',
    datasource: DATA_SOURCE,
    definition: query,
    query: { query, refId: `Variable-${name}` },
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: '.+',
    current: { selected: true, text: ['All'], value: ['$__all'] },
    hide: 0,
    options: [],
    regex: '',
  };
}
